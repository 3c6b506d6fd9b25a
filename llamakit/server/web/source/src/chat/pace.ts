// Work that is asked for often and done at most every so many milliseconds, the last time included.

export class Pace {
  private timer = 0;

  constructor(
    private readonly everyMs: number,
    private readonly work: () => void,
  ) {}

  ask(): void {
    this.timer ||= setTimeout(() => {
      this.timer = 0;
      this.work();
    }, this.everyMs);
  }

  cancel(): void {
    clearTimeout(this.timer);
  }
}
