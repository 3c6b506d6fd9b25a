// Times of an answer by this page's clock, for servers that tell none.

/** Shorter ones say more of this page than of the model. */
const LEAST_SECONDS = 0.05;

export class Clock {
  private readonly asked = performance.now();
  private first = 0;
  private last = 0;
  private n = 0;

  /** A piece of the answer came. */
  tick(): void {
    this.last = performance.now();
    if (this.n === 0) this.first = this.last;
    this.n += 1;
  }

  /** `nTokens` where the server counted them, else the pieces are taken for tokens; null when nothing came. */
  measured(nTokens?: number): { firstMs: number; perSecond?: number } | null {
    if (this.n === 0) return null;
    const firstMs = Math.round(this.first - this.asked);
    const seconds = (this.last - this.first) / 1000;
    const nAfterFirst = (nTokens ?? this.n) - 1;
    return nAfterFirst > 0 && seconds > LEAST_SECONDS ? { firstMs, perSecond: nAfterFirst / seconds } : { firstMs };
  }
}
