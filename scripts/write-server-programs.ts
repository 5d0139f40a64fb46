/** Part of compiling. Writes into dist/ the programs of the fleet's server, each as one file: lib/fleet/bundle/programs.ts. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { compiledFolder, programText, serverPrograms } from '../lib/fleet/bundle/programs.ts'

const folder = join(resolve(import.meta.dirname, '..'), 'dist', compiledFolder)
mkdirSync(folder, { recursive: true })
for (const name of serverPrograms) writeFileSync(join(folder, `${name}.cjs`), await programText(name))
