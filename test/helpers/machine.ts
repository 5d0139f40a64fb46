/** A PC in software: boots a disk image and lets a test wait for what it says on its serial port. */
import { type ChildProcess, spawn } from 'node:child_process'

export interface Machine {
  /** Everything said so far. */
  readonly said: string
  /** The first match in what has been said or will be. Fails with the last lines when the limit passes or the machine goes off. */
  says(pattern: RegExp, seconds: number): Promise<RegExpMatchArray>
  /** Waits until it is off. */
  off(seconds: number): Promise<void>
  /** Pulls the plug. */
  kill(): Promise<void>
}

interface How {
  /** The disk is a qcow2 and is written to. */
  keep?: boolean
  /** The machine has the network that qemu has; else none but a DHCP server. */
  network?: boolean
  /** A port that leads into the machine, as qemu's hostfwd has it. */
  forward?: string
  /** What runs qemu: command and arguments for its argument list. */
  by?: (argv: readonly string[]) => [command: string, args: string[]]
}

/** Boots `disk`, a raw image that stays as it is, and with it more arguments of qemu. */
export function boot(disk: string, more: readonly string[] = [], how: How = {}): Machine {
  const { keep = false, network = false, forward, by = ([command, ...args]) => [command!, args] } = how
  const form = keep ? 'format=qcow2' : 'format=raw,snapshot=on'
  const drive = `file=${disk.replaceAll(',', ',,')},${form},if=virtio`
  const forwarded = forward === undefined ? '' : `,hostfwd=${forward}`
  const nic = `user,model=virtio-net-pci,restrict=${network ? 'off' : 'on'}${forwarded}`
  const args = [
    ...[
      '-accel',
      'tcg,thread=multi',
      '-smp',
      '2',
      '-m',
      '768',
      '-display',
      'none',
      '-no-reboot',
      '-monitor',
      'none',
    ],
    ...['-serial', 'stdio', '-drive', drive, '-nic', nic, '-object'],
    ...['rng-random,id=rng,filename=/dev/urandom', '-device', 'virtio-rng-pci,rng=rng', ...more],
  ]
  const [command, rest] = by(['qemu-system-x86_64', ...args])
  const child = spawn(command, rest, { stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  let ended = false
  const waiting = new Set<() => void>()
  const wake = (): void => {
    for (const look of [...waiting]) look()
  }
  const hear = (text: string): void => {
    said += text
    wake()
  }
  child.stdout.setEncoding('utf8').on('data', hear)
  child.stderr.setEncoding('utf8').on('data', hear)
  child.once('error', (error) => hear(`\nqemu: ${error.message}\n`))
  child.once('close', () => {
    ended = true
    wake()
  })

  const until = <T>(what: string, seconds: number, look: () => T | undefined): Promise<T> =>
    new Promise((resolve, reject) => {
      const settle = (settled: () => void): void => {
        clearTimeout(timer)
        waiting.delete(again)
        settled()
      }
      const fail = (why: string): void =>
        settle(() => reject(new Error(`${why} before ${what}; the last it said:\n${said.slice(-6000)}`)))
      const again = (): void => {
        const found = look()
        if (found !== undefined) settle(() => resolve(found))
        else if (ended) fail('the machine went off')
      }
      const timer = setTimeout(() => fail(`${seconds} s passed`), seconds * 1000)
      waiting.add(again)
      again()
    })

  return {
    get said() {
      return said
    },
    says: (pattern, seconds) => until(`it said ${pattern}`, seconds, () => said.match(pattern) ?? undefined),
    async off(seconds) {
      await until('it was off', seconds, () => (ended ? true : undefined))
    },
    kill: () => killed(child, () => ended),
  }
}

function killed(child: ChildProcess, ended: () => boolean): Promise<void> {
  if (ended()) return Promise.resolve()
  return new Promise((resolve) => {
    child.once('close', () => resolve())
    child.kill('SIGKILL')
  })
}
