/** `--debug-shell`: the user's shell in a failed stage's work folder. */
import { spawn } from 'node:child_process'

let last = Promise.resolve()

/** Opens it once those before it have ended: stages may fail together. Never fails: the stage's error is to be told. */
export function debugShell(folder: string): Promise<void> {
  last = last.then(() => openShell(folder))
  return last
}

function openShell(folder: string): Promise<void> {
  const command = process.env['SHELL'] || '/bin/sh'
  process.stderr.write(`The work folder of the failed stage is ${folder}. Leave the shell to go on.\n`)
  return new Promise((resolve) => {
    const shell = spawn(command, { cwd: folder, stdio: 'inherit' })
    shell.once('error', ({ message }) => {
      process.stderr.write(`The shell ${command} did not start: ${message}\n`)
      resolve()
    })
    shell.once('close', () => resolve())
  })
}
