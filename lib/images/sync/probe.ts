/** What there is on a device, asked once for each connection: rights, tools, mounts. */
import { FleetsieError } from '../../errors.ts'

export interface Mount {
  /** `major:minor` of the filesystem. */
  device: string
  /** Which folder of the filesystem: '/' unless it is a bind mount. */
  root: string
  /** Absolute; bytes as latin1. */
  at: string
}

export interface Probe {
  /** root, or may become it by sudo, or neither. */
  rights: 'root' | 'sudo' | 'none'
  user: string
  /** GNU tar sets extended attributes and knows sparse files. */
  gnuTar: boolean
  mounts: Mount[]
  /** The partitions of the disk that holds the root filesystem: `major:minor` by number. */
  partitions: Map<number, string>
}

const begin = 'fleetsie-probe-begins'
export const probeEnds = 'fleetsie-probe-ends'

/**
 * One line without `'`, `!` and `\`, so that it means the same to sh, fish and csh, whichever the user's shell is. Looking into
 * the boot folders mounts what is mounted on demand. Answers, then stays until its stdin ends.
 */
export const probeCommand = `exec sh -c '${[
  `echo ${begin}`,
  'u=$(id -u)',
  'if [ "$u" = 0 ]; then echo rights root; elif sudo -n true 2>/dev/null; then echo rights sudo; else echo rights none; fi',
  'echo "user $(id -un 2>/dev/null || echo "$u")"',
  'case $(tar --version 2>/dev/null) in *GNU*) echo tar gnu;; *) echo tar other;; esac',
  'ls /boot/. /boot/firmware/. /boot/efi/. /efi/. >/dev/null 2>&1',
  'cat /proc/self/mountinfo',
  'r=0',
  'while read -r _ _ d _ m _; do [ "$m" = / ] && r=$d; done </proc/self/mountinfo',
  'for p in "/sys/dev/block/$r"/../*/partition; do if [ -e "$p" ]; then read -r n <"$p"; read -r d <"$' +
    '{p%/partition}/dev"; echo "partition $n $d"; fi; done',
  `echo ${probeEnds}`,
  'exec cat >/dev/null',
].join('; ')}'`

/** Reads what `probeCommand` said; what a login shell says before is passed over. Fails with E_UNSUPPORTED. */
export function parseProbe(text: string): Probe {
  const from = text.indexOf(`${begin}\n`)
  const to = text.indexOf(`${probeEnds}\n`, from)
  if (from < 0 || to < 0) {
    throw new FleetsieError('E_UNSUPPORTED', 'the device has no POSIX shell that answers')
  }
  const probe: Probe = { rights: 'none', user: '', gnuTar: false, mounts: [], partitions: new Map() }
  for (const line of text.slice(from, to).split('\n')) {
    const [kind = '', a = '', b = '', c = '', d = ''] = line.split(' ')
    if (kind === 'rights' && (a === 'root' || a === 'sudo')) probe.rights = a
    else if (kind === 'user') probe.user = a
    else if (kind === 'tar') probe.gnuTar = a === 'gnu'
    // mountinfo: its number, the parent's, then these. Source: Linux, Documentation/filesystems/proc.rst.
    else if (/^\d+$/.test(kind)) probe.mounts.push({ device: b, root: unescaped(c), at: unescaped(d) })
    else if (kind === 'partition') probe.partitions.set(Number(a), b)
  }
  return probe
}

/** mountinfo writes blanks and backslashes in octal. Source: Linux, fs/proc_namespace.c. */
function unescaped(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))
}
