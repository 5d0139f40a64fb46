/** Folders in which stages run, on the store's filesystem so that publishing is a rename. */
import { closeSync, existsSync, openSync } from 'node:fs'
import { rename } from 'node:fs/promises'
import { join } from 'node:path'
import type { Key } from '../stage.ts'
import { tracePoint } from '../trace.ts'
import type { Parts } from './parts.ts'
import { removeTree } from './remove.ts'
import type { Workspace } from './types.ts'

/** A fresh folder for one run, with an empty log, among those of this process. */
export function makeWorkspace({ layout, presence }: Parts): Workspace {
  const folder = presence.stageFolder()
  const workspace = {
    folder,
    out: join(folder, 'object', 'out'),
    tmp: join(folder, 'tmp'),
    log: join(folder, 'log'),
  }
  for (const path of [folder, objectFolder(workspace), workspace.out, workspace.tmp]) layout.makeFolder(path)
  closeSync(openSync(workspace.log, 'wx', 0o644))
  layout.own(workspace.log)
  tracePoint('workspace.made')
  return workspace
}

/** What publishing moves: `out`, and meta.json beside it. */
export function objectFolder(workspace: Workspace): string {
  return join(workspace.folder, 'object')
}

/** Removes it with all that is in it; what is gone already is no failure. */
export async function discardWorkspace(workspace: Workspace): Promise<void> {
  await removeTree(workspace.folder)
}

/** Keeps a workspace's log under the key; a later one takes its place. */
export async function keepLog(parts: Parts, workspace: Workspace, key: Key): Promise<string> {
  const kept = logPath(parts, key)
  await rename(workspace.log, kept)
  parts.layout.own(kept)
  return kept
}

/** The path of the log that is kept under the key. */
export function findLog(parts: Parts, key: Key): string | undefined {
  const path = logPath(parts, key)
  return existsSync(path) ? path : undefined
}

function logPath({ layout }: Parts, key: Key): string {
  return join(layout.logs, `${key}.log`)
}
