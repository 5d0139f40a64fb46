/** The key that the devices of one disk claim with. Its private half is on that disk and nowhere else. */
import { createHash, randomInt } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Run } from '../../engine/process.ts'
import { newEd25519Key } from '../../formats/ed25519.ts'
import { canonicalPublicKey, privateKeyFile, publicKeyLine } from '../../formats/openssh-key.ts'
import { withSecretFolder } from '../../images/values/secret-folder.ts'

export interface DiskKey {
  /** As OpenSSH keeps it. */
  private: Buffer
  /** `ssh-ed25519 AAAA…`, without a comment. */
  public: string
  /** 16 hexadecimal digits of the public half's sha256: a copy of the disk is of the same lot. */
  lot: string
}

/** A new ed25519 key. It is in no file and no argument until it is on the disk. */
export function makeDiskKey(comment: string): DiskKey {
  const { seed, publicKey } = newEd25519Key()
  const text = privateKeyFile({ seed, publicKey, comment, check: randomInt(2 ** 32) })
  return keyOf(Buffer.from(text), publicKeyLine(publicKey))
}

/** The key in the file of a disk; undefined when it is none that a device could use. */
export function readDiskKey(run: Run, text: Buffer): Promise<DiskKey | undefined> {
  return withSecretFolder(async (folder) => {
    const path = join(folder, 'key')
    // A person may have opened it in an editor that ends lines in its own way; ssh does not take those.
    const plain = Buffer.from(`${text.toString('latin1').replace(/\r\n?/g, '\n').trimEnd()}\n`, 'latin1')
    await writeFile(path, plain, { mode: 0o600 })
    const options = { okCodes: [0, 1, 255] }
    const { stdout, exitCode } = await run('ssh-keygen', ['-y', '-P', '', '-f', path], options)
    const line = exitCode === 0 ? canonicalPublicKey(stdout.toString('utf8')) : undefined
    return line === undefined ? undefined : keyOf(plain, line)
  })
}

function keyOf(text: Buffer, line: string): DiskKey {
  const blob = Buffer.from(line.split(' ')[1]!, 'base64')
  const lot = createHash('sha256').update(blob).digest('hex').slice(0, 16)
  return { private: text, public: line, lot }
}
