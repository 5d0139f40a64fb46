/** The server's programs, each as one file that Node 24 runs. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { codeRoot } from '../../engine/code-digest.ts'
import { oneFile } from './one-file.ts'

/** Each has its source in lib/fleet/server/. */
export const serverPrograms = ['fleetsie_auth', 'fleetsie_gen_srv'] as const
export type ServerProgram = (typeof serverPrograms)[number]

/** What else a server gets, of units/. The first starts each of the programs, under its name. */
export const serverUnits = ['fleetsie_start', 'fleetsie_gate.sh', 'fleetsie_login', 'fleetsie_root'] as const

/** The code behind a program, for keys: its source's URL, also where only what was compiled of it is there. */
export const programModules = serverPrograms.map((name) => sourceOf(name).href)

/** Where scripts/write-server-programs.ts puts them, below dist/. */
export const compiledFolder = 'server'

/**
 * The text of a program. A checkout bundles it; the compiled package holds what was bundled of the same sources when it
 * was compiled, so that both give the same bytes.
 */
export async function programText(name: ServerProgram): Promise<Uint8Array> {
  if (import.meta.url.endsWith('.js')) return readFile(join(codeRoot, compiledFolder, `${name}.cjs`))
  // better-sqlite3 lies beside it in the closure, with its binary.
  return oneFile(fileURLToPath(sourceOf(name)), {
    root: codeRoot,
    external: ['better-sqlite3'],
  })
}

function sourceOf(name: ServerProgram): URL {
  return new URL(`../server/${name}.ts`, import.meta.url)
}
