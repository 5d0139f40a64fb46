/** A file with its content, owner and mode. */
import { createHash } from 'node:crypto'
import { FleetsieError } from '../../errors.ts'
import { textDiff } from '../../formats/text-diff.ts'
import { type Difference, decoded, type Facts, type Resource } from './resource.ts'

/** Bytes of a present file that are fetched, to be compared line by line. */
const mostText = 65_536

const check = `if [ -L "$1" ]; then
	fact type link
elif [ -f "$1" ]; then
	fact type file
	fact owner "$(stat -c %U:%G -- "$1")"
	fact mode "$(stat -c %a -- "$1")"
	fact sha256 "$(sha256sum <"$1" | cut -d ' ' -f 1)"
	if [ "$2" = text ] && [ "$(stat -c %s -- "$1")" -le ${mostText} ]; then encoded content <"$1"; fi
elif [ -e "$1" ]; then
	fact type other
fi`

/**
 * $1 path, $2 owner, $3 mode, $4 sha256 of stdin; then a program that judges the new file, which is its last argument.
 * The temporary name is one that sudo and sshd pass over. What was there and is no file is kept beside it.
 */
const put = `set -eu
umask 022
path=$1 owner=$2 mode=$3 sum=$4
shift 4
mkdir -p -- "\${path%/*}"
umask 077
new=$path.fleetsie-new
rm -rf -- "$new"
trap 'rm -f -- "$new"' EXIT
cat >"$new"
[ "$(sha256sum <"$new" | cut -d ' ' -f 1)" = "$sum" ] || {
	echo 'the content did not arrive whole' >&2
	exit 1
}
chown -- "$owner" "$new"
chmod -- "$mode" "$new"
[ $# -eq 0 ] || "$@" "$new" >&2
sync -- "$new"
if [ -L "$path" ] || { [ -e "$path" ] && [ ! -f "$path" ]; }; then mv -T -- "$path" "$path.saved_$(date +%s)"; fi
mv -fT -- "$new" "$path"
sync -- "\${path%/*}"`

export interface FileOptions {
  content: string
  /** `root:root` unless said. */
  owner?: string
  /** Octal, as chmod takes it. */
  mode: string
  /** A program and its first arguments; it is given the new file before that is put in place, and can refuse it. */
  judge?: readonly string[]
  /** The content is neither fetched nor shown. */
  secret?: boolean
}

/**
 * There is a plain file with this content, below folders that are made where they are missing. Anything else in its place
 * is kept as PATH.saved_TIME. `path` is absolute.
 */
export function file(path: string, options: FileOptions): Resource {
  const { content, owner = 'root:root', mode, judge = [], secret = false } = options
  const sha256 = createHash('sha256').update(content).digest('hex')
  if (!path.startsWith('/')) throw new FleetsieError('E_BUG', `${path} is not absolute`)
  return {
    name: `file ${path}`,
    check: { text: check, args: [path, secret ? 'secret' : 'text'] },
    diff: (facts) => fileDifference(facts, { content, owner, mode, secret, sha256 }),
    apply: async (place) => {
      await place.asRoot({ text: put, args: [path, owner, mode, sha256, ...judge] }, { stdin: content })
    },
  }
}

interface Wanted extends Required<Pick<FileOptions, 'content' | 'owner' | 'mode' | 'secret'>> {
  sha256: string
}

function fileDifference(facts: Facts, wanted: Wanted): Difference | undefined {
  const type = facts.get('type')
  const lines = (before: string): Pick<Difference, 'lines'> =>
    wanted.secret ? {} : { lines: textDiff(before, wanted.content) }
  if (type === undefined) return { because: 'it is missing', ...lines('') }
  if (type !== 'file') return { because: 'it is no plain file; what is there will be kept', ...lines('') }
  if (facts.get('sha256') !== wanted.sha256) {
    const before = decoded(facts, 'content')
    return { because: 'its content differs', ...(before === undefined ? {} : lines(before)) }
  }
  return ownerDifference(facts, wanted)
}

/** What differs in owner and mode. */
export function ownerDifference(
  facts: Facts,
  { owner, mode }: { owner: string; mode: string },
): Difference | undefined {
  const [isOwner, isMode] = [facts.get('owner'), facts.get('mode')]
  if (isOwner !== owner) return { because: `it belongs to ${isOwner}, not ${owner}` }
  if (Number.parseInt(isMode ?? '', 8) !== Number.parseInt(mode, 8)) {
    return { because: `its mode is ${isMode}, not ${mode}` }
  }
  return undefined
}
