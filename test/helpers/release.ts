/** A small release as `save` would leave it, and a context to deploy it with, for tests. */
import { createHash } from 'node:crypto'
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { runner } from '../../lib/engine/process.ts'
import type { DeployContext, DeployStage } from '../../lib/engine/stage.ts'
import { artifactSuffixes, type Release, writeArtifacts } from '../../lib/images/signing/artifacts.ts'
import { sign } from '../../stages/sign.ts'
import { fakeInput } from './context.ts'

const facts = (bytes: Buffer) => ({
  sha256: createHash('sha256').update(bytes).digest('hex'),
  size: bytes.length,
})

const status = `Package: busybox
Status: install ok installed
Version: 1:1.35.0-4
Architecture: amd64
Maintainer: Debian Install System Team <debian-boot@lists.debian.org>
`

/** Fills `folder`, whose files are read-only afterwards, as in the store. */
export async function makeRelease(folder: string, image: Buffer, stem = 'sample_fleetsie'): Promise<Release> {
  mkdirSync(folder, { recursive: true })
  const bmap = Buffer.from('<bmap version="2.0"/>\n')
  writeFileSync(join(folder, stem + artifactSuffixes.image), image)
  writeFileSync(join(folder, stem + artifactSuffixes.bmap), bmap)
  const release: Release = {
    stem,
    image: facts(image),
    bmap: facts(bmap),
    imager: { shown: {}, disk: { sha256: 'd'.repeat(64), size: 4096 } },
    epoch: 1_700_000_000,
    dpkgStatus: Buffer.from(status),
    distribution: { id: 'debian', versionId: '12', prettyName: 'Debian GNU/Linux 12 (bookworm)' },
    dependencies: [{ name: 'stock.img.xz', sha256: 'e'.repeat(64) }],
    parameters: { name: 'sample' },
    version: '0.1.0',
  }
  await writeArtifacts(folder, release)
  for (const name of readdirSync(folder)) chmodSync(join(folder, name), 0o444)
  return release
}

export interface Deployment {
  stage: DeployStage
  context: DeployContext<Record<string, unknown>>
  notes: string[]
}

/** `sign` as the engine would run it, in the folder `cwd`. */
export function deployment(cwd: string, artifacts: string, options: { out?: string } = {}): Deployment {
  const tmp = join(cwd, 'tmp')
  mkdirSync(tmp, { recursive: true })
  const notes: string[] = []
  const signal = new AbortController().signal
  const context: DeployContext<Record<string, unknown>> = {
    options: { artifacts: fakeInput(artifacts), out: options.out ?? 'out' },
    sources: [],
    tmp,
    cwd,
    sha256: async (file) => createHash('sha256').update(readFileSync(file)).digest('hex'),
    signal,
    jobs: 2,
    epoch: undefined,
    run: runner({ home: tmp, signal, log: (text) => notes.push(text) }),
    log: (line) => notes.push(line),
    note: (line) => notes.push(line),
    warn: (line) => notes.push(line),
    progress: () => {},
  }
  return { stage: sign.stage as DeployStage, context, notes }
}
