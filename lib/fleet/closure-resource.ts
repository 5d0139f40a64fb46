/** The closure on the server: streamed once, checked, tried, then switched to by one rename; the one before is kept. */
import { createReadStream } from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import { FleetsieError } from '../errors.ts'
import { careful } from '../hosts/resources/careful.ts'
import { placeLink } from '../hosts/resources/link.ts'
import type { Facts, Place, Progress, Resource } from '../hosts/resources/resource.ts'
import { type Architecture, type Closure, closureTar, readClosure } from './bundle/listing.ts'
import { closuresFolder, currentClosure } from './server-paths.ts'

/** The output folder of `server-bundle` for this architecture. */
export type BundleFor = (architecture: Architecture) => Promise<string>

// Over any network that takes longer than this level of compression.
const level = 1

const check = `fact machine "$(uname -m)"
getconf GNU_LIBC_VERSION 2>/dev/null | grep -q ^glibc && fact glibc yes
[ -L "$1" ] && readlink -n -- "$1" | encoded current
for folder in "$2"/*/; do
	[ -d "$folder" ] || continue
	folder=\${folder%/}
	fact "closure-\${folder##*/}" yes
done`

/** $1 folder of closures, $2 digest, $3 lines for sha256sum; stdin is the tar, gzipped. */
const unpack = `${careful}
mkdir -p -- "$1"
exec 9<"$1"
flock 9
if [ -d "$1/$2" ]; then
	# Whoever had the lock has put it there.
	cat >/dev/null
	exit 0
fi
new=$1/$2.tmp
rm -rf -- "$new"
trap 'rm -rf -- "$new"' EXIT
mkdir -- "$new"
tar -x -z -p --no-same-owner -f - -C "$new" >&2
cd -- "$new"
printf '%s\\n' "$3" | sha256sum --check --strict --quiet >&2
chmod 555 .
sync -f -- .
cd /
mv -T -- "$new" "$1/$2"
sync -- "$1"`

/**
 * $1 folder of closures, $2 digest, $3 the link. A program of the new closure has to answer before the link is switched,
 * and to open the databases after it; else the link goes back.
 */
const switchOver = `${careful}
ask() { printf '%s\\n' "$2" | runuser -u fleetsie -- env HOME=/home/fleetsie "$1/fleetsie_gen_srv" 2>&1; }
${placeLink}
closures=$1 new=$1/$2 link=$3
cd /
# Another manager's switch, half-way, would be taken for an older one and removed.
exec 9<"$closures"
flock 9
said=$(ask "$new" '{}' || :)
case $said in
*'"error"'*) ;;
*)
	printf 'the new closure does not run here: %s\\n' "$said" >&2
	exit 1
	;;
esac
before=$(readlink -f -- "$link" 2>/dev/null || :)
place_link "$link" "closures/$2"
if ! said=$(ask "$new" '{"do":"setup"}'); then
	if [ -n "$before" ] && [ -d "$before" ]; then place_link "$link" "closures/\${before##*/}"; else rm -f -- "$link"; fi
	printf 'the new closure does not work here, so the one before is in use again: %s\\n' "$said" >&2
	exit 1
fi
for old in "$closures"/*; do
	case $old in
	"$new" | "$before") ;;
	*) rm -rf -- "$old" ;;
	esac
done`

/**
 * The server's programs, of the bundle for its architecture, are in use. Its diff fails with E_UNSUPPORTED for a machine
 * that no closure is made for, and with E_INPUT where the bundle is for another.
 */
export function closure(bundleFor: BundleFor): Resource {
  const listed = async (facts: Facts): Promise<{ folder: string; closure: Closure }> => {
    const folder = await bundleFor(architectureOf(facts))
    const closure = await readClosure(folder)
    if (closure.architecture !== architectureOf(facts)) throw wrongBundle(closure, facts)
    return { folder, closure }
  }
  return {
    name: 'closure /opt/fleetsie/current',
    check: { text: check, args: [currentClosure, closuresFolder] },
    diff: async (facts) => {
      const { closure } = await listed(facts)
      const { digest } = closure
      const short = digest.slice(0, 12)
      if (!facts.has(`closure-${digest}`)) return { because: `${short} is not there` }
      const current = Buffer.from(facts.get('current') ?? '', 'base64').toString()
      return current === `closures/${digest}` ? undefined : { because: `${short} is not the one in use` }
    },
    apply: async (place, facts, progress) => {
      const { folder, closure } = await listed(facts)
      if (!facts.has(`closure-${closure.digest}`)) await send(place, folder, closure, progress)
      await place.asRoot({ text: switchOver, args: [closuresFolder, closure.digest, currentClosure] })
    },
  }
}

/** Fails with E_UNSUPPORTED for a machine that no closure is made for. */
function architectureOf(facts: Facts): Architecture {
  const machine = facts.get('machine')
  const found = machine === 'x86_64' ? 'x64' : machine === 'aarch64' ? 'arm64' : undefined
  if (found === undefined) {
    throw new FleetsieError('E_UNSUPPORTED', `a server of ${machine} cannot run fleetsie`, {
      hint: 'Node 24 and better-sqlite3 come ready for x86_64 and aarch64 only: take such a server',
    })
  }
  if (!facts.has('glibc')) {
    throw new FleetsieError('E_UNSUPPORTED', 'a server without glibc cannot run fleetsie', {
      hint: 'take a server with Debian, Ubuntu or the like',
    })
  }
  return found
}

function wrongBundle({ architecture }: Closure, facts: Facts): FleetsieError {
  return new FleetsieError(
    'E_INPUT',
    `the bundle is for ${architecture}, and the server is ${facts.get('machine')}`,
    { hint: `serverBundle({ architecture: '${architectureOf(facts)}' })` },
  )
}

async function send(
  place: Place,
  folder: string,
  { digest, size, files }: Closure,
  progress: Progress,
): Promise<void> {
  const sums = files.map(({ path, sha256 }) => `${sha256}  ${path}`).join('\n')
  const gzip = createGzip({ level })
  async function* counted(pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    let done = 0
    for await (const piece of pieces) {
      yield piece
      done += piece.length
      progress(done, size)
    }
  }
  const reading = pipeline(createReadStream(join(folder, closureTar)), counted, gzip, {
    signal: place.signal,
  })
  // Who reads it no longer says why.
  reading.catch(() => {})
  try {
    await place.asRoot({ text: unpack, args: [closuresFolder, digest, sums] }, { stdin: gzip })
    await reading
  } finally {
    gzip.destroy()
  }
}
