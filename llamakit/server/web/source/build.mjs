// Makes ../static of src/: `npm ci && npm run build`. `node build.mjs DIR` writes elsewhere, for the test that compares.
import { createHash } from "node:crypto";
import { copyFile, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const source = dirname(fileURLToPath(import.meta.url));
const target = process.argv[2] ?? join(source, "../static");

await rm(target, { recursive: true, force: true });
await mkdir(target, { recursive: true });
await build({
  absWorkingDir: source,
  entryPoints: { app: "src/main.tsx", theme: "src/theme_first.ts", style: "src/style/index.css" },
  outdir: target,
  bundle: true,
  splitting: true, // math and highlighting are files of their own, loaded when a text needs them
  chunkNames: "[name]",
  format: "esm",
  target: "es2022",
  minify: true,
  jsx: "automatic",
  jsxImportSource: "preact",
  charset: "utf8",
  legalComments: "none", // licences.txt has them
  external: ["*.woff2"],
  logLevel: "warning",
});
for (const name of ["index.html", "icon.svg"]) {
  await copyFile(join(source, "src", name), join(target, name));
}
await copyFile(join(source, "node_modules/temml/dist/Temml.woff2"), join(target, "Temml.woff2"));
await writeFile(join(target, "licences.txt"), await licences());
await writeFile(join(target, "source.sha256"), `${await fingerprint()}\n`);

// Of the libraries that the files hold.
async function licences() {
  const names = [
    "preact",
    "@preact/signals",
    "@preact/signals-core",
    "marked",
    "temml",
    "lowlight",
    "devlop",
    "highlight.js",
  ];
  const texts = names.map(async (name) => {
    const folder = join(source, "node_modules", name);
    const file = (await readdir(folder)).find((entry) => /^licen[cs]e/i.test(entry));
    return `${name}\n\n${(await readFile(join(folder, file), "utf8")).trim()}\n`;
  });
  return (await Promise.all(texts)).join(`\n${"-".repeat(80)}\n\n`);
}

// Of all that the files are made of: says without node whether they are up to date.
async function fingerprint() {
  const names = ["build.mjs", "package.json", "package-lock.json", "tsconfig.json"];
  for (const entry of await readdir(join(source, "src"), { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) names.push(relative(source, join(entry.parentPath, entry.name)));
  }
  const hash = createHash("sha256");
  for (const name of names.sort()) {
    hash.update(`${name}\0`);
    hash.update(await readFile(join(source, name)));
  }
  return hash.digest("hex");
}
