/** Processes of this machine, as far as this user may look. */
import { readdir, readFile, readlink } from 'node:fs/promises'

/** Their numbers. */
export async function listProcesses(): Promise<number[]> {
  return (await readdir('/proc')).flatMap((name) => (/^\d+$/.test(name) ? [Number(name)] : []))
}

/** Whether the environment that it was started with has NAME=value. */
export async function startedWith(pid: number, name: string, value: string): Promise<boolean> {
  const environment = await readFile(`/proc/${pid}/environ`, 'latin1').catch(() => '')
  return environment.split('\0').includes(`${name}=${value}`)
}

export async function argumentsOf(pid: number): Promise<string[]> {
  const text = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
  return text.split('\0').slice(0, -1)
}

/** Undefined when it is gone, is dead and not yet buried, or cannot be looked at. */
export async function workingFolder(pid: number): Promise<string | undefined> {
  return readlink(`/proc/${pid}/cwd`).catch(() => undefined)
}

/** The process group; undefined when it is gone or dead. proc(5): the name in parentheses may hold anything. */
export async function livingGroup(pid: number): Promise<number | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  const [state, , group] = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return state === undefined || /[ZX]/.test(state) || group === undefined ? undefined : Number(group)
}

/** Waits until `gone` says so, at most `limit` ms; answers whether it did. */
export async function waitUntil(gone: () => Promise<boolean>, limit: number): Promise<boolean> {
  const end = Date.now() + limit
  for (let pause = 2; !(await gone()); pause = Math.min(2 * pause, 100)) {
    if (Date.now() > end) return false
    await new Promise((resolve) => setTimeout(resolve, pause))
  }
  return true
}
