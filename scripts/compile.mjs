// Compiles the program into dist/ (npm run compile, and before `npm pack`).
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { main, run, Stop } from './setup/terminal.mjs'

/** @param {string} root the package's folder @param {{ clean?: boolean }} [options] clean: forget earlier results */
export function compile(root, { clean = false } = {}) {
  const dist = join(root, 'dist')
  if (clean) rmSync(dist, { recursive: true, force: true })
  else if (isFresh(root)) return
  removeOrphans(root, dist)
  // Digests and stamps come before the compiler, and the stamps count after it: a source that is edited meanwhile, or
  // a compiler that is ended, is seen the next time.
  mkdirSync(dist, { recursive: true })
  rmSync(join(dist, 'stamps.json'), { force: true })
  const writer = ['--import', 'tsx', 'scripts/write-source-manifest.ts']
  if (run(process.execPath, writer, { cwd: root }) !== 0)
    throw new Stop(4, 'the source manifest was not written')
  const bundler = ['--import', 'tsx', 'scripts/write-server-programs.ts']
  if (run(process.execPath, bundler, { cwd: root }) !== 0)
    throw new Stop(4, "the server's programs were not bundled")
  const code = run(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json'], {
    cwd: root,
  })
  if (code !== 0) throw new Stop(4, `the TypeScript compiler ended with exit code ${code}`)
  // The compiler makes plain files; npm marks the bin of an installed package only.
  chmodSync(join(dist, 'lib/cli/bin.js'), 0o755)
  renameSync(join(dist, 'stamps.new.json'), join(dist, 'stamps.json'))
}

/** Whether dist/ was made from just these sources: scripts/write-source-manifest.ts noted their sizes and times. */
function isFresh(root) {
  const stamps = join(root, 'dist/stamps.json')
  if (!existsSync(stamps)) return false
  const known = JSON.parse(readFileSync(stamps, 'utf8'))
  const same = ([name, stamp]) => {
    const now = statSync(join(root, name), { throwIfNoEntry: false })
    return now !== undefined && `${now.size} ${now.mtimeMs}` === stamp
  }
  const sources = ['lib', 'stages'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true })
      .filter((name) => String(name).endsWith('.ts'))
      .map((name) => `${folder}/${name}`),
  )
  return Object.entries(known).every(same) && sources.every((name) => known[name] !== undefined)
}

/** The compiler leaves the output of a source that was renamed or removed; it would be packed. */
function removeOrphans(root, dist) {
  if (!existsSync(dist)) return
  for (const entry of readdirSync(dist, { recursive: true })) {
    const source = /^(.*?)\.(?:d\.ts|js)$/.exec(String(entry))?.[1]
    if (source !== undefined && !existsSync(join(root, `${source}.ts`))) rmSync(join(dist, String(entry)))
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const root = fileURLToPath(new URL('..', import.meta.url))
  await main(async () => compile(root, { clean: process.argv.includes('--clean') }))
}
