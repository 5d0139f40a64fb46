/** The server's programs, each as one file that Node 24 runs. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { codeRoot } from '../../engine/code-digest.ts'

/** Each has its source in lib/fleet/server/. */
export const serverPrograms = ['fleetsie_auth', 'fleetsie_gen_srv'] as const
export type ServerProgram = (typeof serverPrograms)[number]

/** What else a server gets, of units/. The first starts each of the programs, under its name. */
export const serverUnits = ['fleetsie_start', 'fleetsie_login', 'fleetsie_root'] as const

/** The code behind a program, for keys: its source's URL, also where only what was compiled of it is there. */
export const programModules = serverPrograms.map((name) => sourceOf(name).href)

/** Where scripts/write-server-programs.ts puts them, below dist/. */
export const compiledFolder = 'server'

/**
 * The text of a program. A checkout bundles it; the compiled package holds what was bundled of the same sources when it
 * was compiled, so that both give the same bytes.
 */
export async function programText(name: ServerProgram): Promise<Uint8Array> {
  if (import.meta.url.endsWith('.js')) return readFile(join(codeRoot, compiledFolder, `${name}.mjs`))
  const { build } = await import('esbuild')
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(sourceOf(name))],
    absWorkingDir: codeRoot,
    bundle: true,
    write: false,
    logLevel: 'silent',
    platform: 'node',
    format: 'esm',
    target: 'node24',
    charset: 'utf8',
    // Beside it in the closure, with its binary.
    external: ['better-sqlite3'],
    // node_modules may be a link: the text names files by their paths, which are the same everywhere.
    preserveSymlinks: true,
    // Whatever the checkout's tsconfig.json says: a test copies the sources without it.
    tsconfigRaw: {},
  })
  return outputFiles[0]!.contents
}

function sourceOf(name: ServerProgram): URL {
  return new URL(`../server/${name}.ts`, import.meta.url)
}
