/** debian-packages: the packages of debian.lock, as a folder that apt takes for a repository. */
import { copyFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import * as v from 'valibot'
import { stage } from '../lib/engine/stage.ts'
import { FleetsieError } from '../lib/errors.ts'

export const debianPackages = stage({
  kind: 'build',
  name: 'debian-packages',
  module: import.meta.url,
  summary: 'Downloads the packages of debian.lock.',
  description: `
Every package that the lock names, from its mirror (or \`$FLEETSIE_DEBIAN_MIRROR\`, if that is nearer), checked by sha256.
What has come before a failure is kept for the next build. \`debian\` calls this stage; nobody else needs to.

The output: the .deb files, their index \`Packages\`, and a copy of the lock.
`,
  example: "debianPackages({ lock: 'debian.lock' })",
  options: v.strictObject({
    lock: v.pipe(
      v.optional(v.pipe(v.string(), v.nonEmpty('takes the path of a file')), 'debian.lock'),
      v.description('The lock file, relative to pipeline.ts.'),
    ),
  }),
  pool: 'net',
  tools: () => ['dpkg-deb'],
  async sources(options, host) {
    const from = resolve(host.cwd, options.lock)
    const sha256 = await host.sha256(from).catch((cause: unknown) => {
      throw new FleetsieError('E_INPUT', 'there is no such lock', {
        file: options.lock,
        hint: '`fleetsie lock` makes one',
        cause,
      })
    })
    return [{ path: 'debian.lock', type: 'file', mode: 0o644, sha256, from }]
  },
  async run(context) {
    const { readLock } = await import('../lib/images/debian/lock.ts')
    const { downloadPackages, indexPackages } = await import('../lib/images/debian/packages.ts')
    const [source] = context.sources
    if (source?.type !== 'file') throw new FleetsieError('E_BUG', 'debian-packages has no lock')
    const lock = await readLock(source.from)
    await downloadPackages(lock, context.out, {
      signal: context.signal,
      progress: (done, total) => context.progress(done, total, 'bytes'),
      note: (line) => context.log(line),
    })
    await indexPackages(lock, context.out, context.run)
    await copyFile(source.from, join(context.out, 'debian.lock'))
  },
})
