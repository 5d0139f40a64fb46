/** The programs and libraries that read and write .xz, beside the one that the stages use by rule. */
import { execFile } from 'node:child_process'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { rawSize, tools } from '../disk.ts'
import { repeat, type Subject } from '../measure.ts'
import { shortReason } from '../peers/run.ts'
import { compared, type Row } from '../row.ts'
import type { Bench, Scenario } from './scenario.ts'

interface Codec {
  name: string
  /** `$1` is the file; the result goes to stdout. Absent: it cannot. */
  decode?: string
  encode?: string
}

const MiB = 1024 * 1024
/** Bytes of the image's middle that are encoded: two blocks of `xz -6 -T0`, so that two threads have work. */
const sampled = 48 * MiB

const lzmaNative = (stream: string): string =>
  `node -e 'const { ${stream} } = require("lzma-native"); require("stream").pipeline(require("fs").createReadStream(process.argv[1], { highWaterMark: 1 << 20 }), ${stream}(), process.stdout, (error) => { if (error) throw error })' "$1"`
const python = (lines: string): string => `python3 -c '${lines}' "$1"`

/** The first is what the stages run. */
const codecs: readonly Codec[] = [
  { name: 'xz -T0', decode: 'xz -dc -T0 "$1"', encode: 'xz -6 -T0 -c "$1"' },
  { name: 'xz -T1', decode: 'xz -dc -T1 "$1"', encode: 'xz -6 -T1 -c "$1"' },
  { name: 'lzma-native', decode: lzmaNative('createDecompressor'), encode: lzmaNative('createCompressor') },
  {
    name: "Python's lzma",
    decode: python(
      'import lzma, shutil, sys; shutil.copyfileobj(lzma.open(sys.argv[1]), sys.stdout.buffer, 1 << 20)',
    ),
    encode: python(
      'import lzma, shutil, sys; shutil.copyfileobj(open(sys.argv[1], "rb"), lzma.open(sys.stdout.buffer, "w"), 1 << 20)',
    ),
  },
  { name: '7z', decode: '7z x -so "$1"', encode: '7z a -txz -mx=6 -si -so -an x < "$1"' },
  { name: 'bsdcat', decode: 'bsdcat "$1"' },
]

export const codecScenario: Scenario = {
  name: 'codecs',
  about: `decoding the stock and encoding ${sampled / MiB} MiB of it by ${codecs.map(({ name }) => name).join(', ')}`,
  async run(bench) {
    const part = join(bench.workplace.root, 'part.img')
    await cutOut(bench.stock.path, part)
    const rows = [
      ...(await compare(bench, 'decode the stock', 'decode', bench.stock.path)),
      ...(await compare(bench, `encode ${sampled / MiB} MiB`, 'encode', part)),
    ]
    await rm(part)
    return rows
  },
}

async function compare(bench: Bench, name: string, way: 'decode' | 'encode', file: string): Promise<Row[]> {
  const { checkout, env } = bench.workplace
  const [rule, ...others] = codecs.filter((codec) => codec[way] !== undefined)
  // node finds the library of the checkout from there.
  const subject = (codec: Codec): Subject => ({
    command: 'sh',
    args: ['-c', `${codec[way]} > /dev/null`, 'sh', file],
    cwd: checkout,
    env,
    limit: 600,
  })
  const ours = subject(rule!)
  const runs = Math.min(bench.runs, way === 'decode' ? 3 : 1)
  const samples = await repeat(ours, runs)
  const rows: Row[] = []
  for (const codec of others) {
    bench.say(`codecs: ${codec.name}`)
    try {
      const theirs = subject(codec)
      rows.push(
        compared({
          name,
          beside: codec.name,
          ours: { subject: ours, samples },
          peer: { subject: theirs, samples: await repeat(theirs, runs, false) },
          paired: false,
          about: rule!.name,
        }),
      )
    } catch (error) {
      rows.push({ name, beside: codec.name, notRun: shortReason(error) })
    }
  }
  rows.push({ name, beside: 'node-liblzma', notRun: 'needs Node 22, and this program runs on 20 as well' })
  return rows
}

/** A stretch of the image's middle, where a root partition has its files. */
async function cutOut(file: string, part: string): Promise<void> {
  const size = await rawSize(tools(tmpdir()), file)
  const from = Math.max(0, Math.floor(size / 3) - sampled / 2)
  const script = 'xz -dc -T0 "$1" | tail -c +"$2" | head -c "$3" > "$4"'
  await promisify(execFile)('sh', ['-c', script, 'sh', file, `${from + 1}`, `${sampled}`, part])
}
