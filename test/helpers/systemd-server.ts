/**
 * A fleet server under a real systemd: Debian in software emulation, reached as 192.0.2.3 from a machine of the rig
 * (fleet-server.ts) whose network it lies in. That machine is the manager's, and may be a device as well: its own sshd
 * answers on 192.0.2.1 and localhost.
 *
 *     const server = await SystemdServer.make()
 *     await server.boot()                               // until sshd answers
 *     await server.does('systemctl is-active ssh')      // as root of the server, without ssh
 *     await server.powerCut()                           // and boot() again: what was written to its disk is there
 *     await server.remove()
 */
import assert from 'node:assert/strict'
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { FleetServer } from './fleet-server.ts'
import { boot, type Machine } from './machine.ts'
import { succeeds } from './npm-project.ts'
import { makeServerImage } from './systemd-server-image.ts'

/** Emulated, on a machine that may have other work to do. */
const patience = 600

interface Answer {
  code: number
  /** stdout and stderr. */
  said: string
}

export class SystemdServer {
  readonly address = '192.0.2.3'
  readonly desk: FleetServer
  private readonly folder: string
  private machine: Machine | undefined
  private agent: Socket | undefined

  static async make(): Promise<SystemdServer> {
    const folder = mkdtempSync(join(tmpdir(), 'fleetsie-systemd-'))
    const desk = await FleetServer.start()
    const server = new SystemdServer(desk, folder)
    try {
      const image = join(folder, 'stock.img')
      const keys = await makeServerImage(image, readFileSync(`${desk.manager.key}.pub`, 'utf8').trim())
      const lines = keys.map((key) => `${server.address} ${key}\n`)
      appendFileSync(desk.manager.knownHosts, lines.join(''))
      await succeeds('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', image, '-F', 'raw', server.disk], {
        cwd: folder,
      })
      // Else the desk's sshd has every address's port 22.
      await desk.does(
        'sh',
        '-c',
        "echo 'ListenAddress 127.0.0.1\nListenAddress 192.0.2.1' >>/etc/ssh/sshd_config",
      )
      await desk.restartSshd()
      await desk.does('ip', 'address', 'add', `${server.address}/32`, 'dev', 'lo')
      return server
    } catch (error) {
      await server.remove()
      throw error
    }
  }

  private constructor(desk: FleetServer, folder: string) {
    this.desk = desk
    this.folder = folder
  }

  /** Everything that it said on its console since it was switched on. */
  get said(): string {
    return this.machine?.said ?? ''
  }

  async boot(): Promise<void> {
    const socket = join(this.folder, 'agent')
    rmSync(socket, { force: true })
    const channel = ['-chardev', `socket,id=agent,path=${socket},server=on,wait=off`]
    const port = ['-device', 'virtio-serial', '-device', 'virtserialport,chardev=agent,name=agent']
    this.machine = boot(this.disk, [...channel, ...port], {
      keep: true,
      forward: `tcp:${this.address}:22-:22`,
      by: (argv) => this.desk.enter(argv),
    })
    await this.machine.says(/fleet login:/, patience)
    this.agent = connect(socket)
    await this.line()
  }

  /** Runs a script of bash as root of the server, whatever its exit code is. */
  async run(script: string): Promise<Answer> {
    const answer = this.line()
    this.agent!.write(`${Buffer.from(script).toString('base64')}\n`)
    const [code = '', said = ''] = (await answer).split(' ')
    return { code: Number(code), said: Buffer.from(said, 'base64').toString() }
  }

  /** The same, and the test fails when the script does. */
  async does(script: string): Promise<string> {
    const { code, said } = await this.run(script)
    assert.equal(code, 0, `${script}: ${said}`)
    return said
  }

  async powerCut(): Promise<void> {
    this.agent?.destroy()
    await this.machine?.kill()
  }

  async remove(): Promise<void> {
    await this.powerCut()
    await this.desk.stop()
    rmSync(this.folder, { recursive: true, force: true })
  }

  private get disk(): string {
    return join(this.folder, 'disk.qcow2')
  }

  /** The next whole line of the agent. */
  private line(): Promise<string> {
    return new Promise((resolve, reject) => {
      const agent = this.agent!
      let text = ''
      const settle = (settled: () => void): void => {
        clearTimeout(timer)
        agent.off('data', hear).off('close', lost)
        settled()
      }
      const fail = (why: string): void => settle(() => reject(new Error(`${why}: ${this.said.slice(-2000)}`)))
      const lost = (): void => fail('the server is gone')
      const timer = setTimeout(() => fail(`the server says nothing for ${patience} s`), patience * 1000)
      const hear = (data: Buffer): void => {
        text += data.toString('latin1')
        if (text.endsWith('\n')) settle(() => resolve(text.trimEnd()))
      }
      agent.on('data', hear).once('close', lost)
    })
  }
}
