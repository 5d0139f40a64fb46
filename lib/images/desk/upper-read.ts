/** Reads files of an upper folder with owners and attributes, by GNU tar: Node has no call for extended attributes. */
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { FleetsieError } from '../../errors.ts'
import { readXattrs } from '../../formats/layer/xattrs.ts'
import { readTar, type TarMember } from '../../formats/tar/reader.ts'
import { utf8 } from '../../formats/tar/text.ts'
import type { Attributes } from './nodes.ts'
import type { Desk } from './types.ts'
import type { UpperNode } from './upper-scan.ts'

export interface UpperRead {
  path: string
  attributes: Attributes
  /** The overlay's own notes said that a folder hides what is below it. */
  opaque: boolean
  /**
   * overlayfs copied it from the stock, and says so in a note. For the kernel it stays the same file as that one, wherever
   * its name is: should the stock's show again, both would have this content (ovl_hash_bylower).
   */
  copied: boolean
  /** Of a symbolic link. */
  target: string
  /** Of a file. Has to be read, if at all, before the next is asked for. */
  content: AsyncIterable<Buffer>
}

const overlayNote = /^(?:user|trusted)\.(?:overlay|fuseoverlayfs|containers)\./
const tarOptions =
  '--create --file=- --format=posix --no-recursion --hard-dereference --xattrs --xattrs-include=* --numeric-owner --null --verbatim-files-from --files-from=-'

/** `each` gets them in the order of `nodes`; folders come without what is below them. Fails with E_STAGE. */
export async function readUpper(
  { run, folder }: Desk,
  upper: string,
  nodes: readonly UpperNode[],
  each: (read: UpperRead) => Promise<void>,
): Promise<void> {
  if (nodes.length === 0) return
  // Who made a file that its owner may not read owns it all the same: as root of a namespace of one, it can be read.
  const closed =
    process.geteuid?.() !== 0 && nodes.some(({ mode, kind }) => kind === 'file' && !(mode & 0o400))
  const [command, ...args] = [...(closed ? ['unshare', '-r'] : []), 'tar', ...tarOptions.split(' ')]
  await run(command!, args, {
    cwd: join(folder, upper),
    input: nodes.map(({ path }) => `./${path}\0`).join(''),
    // 1: something was written to while it was read. The next time its stamp is another one.
    okCodes: [0, 1],
    output: async (stdout: Readable) => {
      for await (const member of readTar(stdout)) await each(toRead(member))
    },
  })
}

function toRead(member: TarMember): UpperRead {
  const { header, pax, where } = member
  const all = readXattrs(pax, where)
  const path = utf8(member.name, 'the name', where).replace(/^\.\//, '').replace(/\/$/, '')
  for (const note of ['redirect', 'metacopy']) {
    if (!all.has(`trusted.overlay.${note}`) && !all.has(`user.overlay.${note}`)) continue
    throw new FleetsieError(
      'E_INPUT',
      `/${path} was renamed or changed by an overlay mounted with \`${note}\``,
      {
        hint: 'mount with this program only, and copy the file to itself in the merged tree',
      },
    )
  }
  return {
    path,
    attributes: {
      mode: header.type === '2' ? 0o777 : header.mode & 0o7777,
      uid: idOf(member, 'uid'),
      gid: idOf(member, 'gid'),
      xattrs: new Map([...all].filter(([name]) => !overlayNote.test(name))),
    },
    opaque: [...all].some(
      ([name, value]) => overlayNote.test(name) && /\.opaque$/.test(name) && value.toString() === 'y',
    ),
    copied: [...all.keys()].some((name) => overlayNote.test(name) && name.endsWith('.origin')),
    target: header.type === '2' ? utf8(member.linkName, 'the link target', where) : '',
    content: member.content,
  }
}

function idOf({ pax, header }: TarMember, key: 'uid' | 'gid'): number {
  const record = pax.get(key)
  return record?.length ? Number(record.toString('latin1')) : header[key]
}
