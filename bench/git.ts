/** Git, for folders that are made here: overlays hold what git tracks. */
import { execFileSync } from 'node:child_process'

/** Makes a folder a git repository that tracks all of it. */
export function track(folder: string): void {
  git(folder, 'init', '--quiet')
  git(folder, 'add', '--all')
}

export function git(folder: string, ...args: string[]): void {
  const identity = ['-c', 'user.name=bench', '-c', 'user.email=bench@localhost', '-c', 'gc.auto=0']
  execFileSync('git', [...identity, ...args], { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] })
}
