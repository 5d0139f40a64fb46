/** What a pipeline gets whose options, sources, stages, surroundings or store cannot be. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { refuses } from '../helpers/bad-input.ts'

refuses('a bad pipeline', [
  {
    title: 'an option of the wrong type',
    layers: `[overlay({ from: 7 })]`,
    code: 1,
    error: /overlay: option `from` got 7: .*\n.*docs\/stages\/overlay\.md/,
  },
  {
    title: 'an option that there is not',
    layers: `[overlay({ form: 'overlays' })]`,
    code: 1,
    error: /there is no option `form`/,
  },
  {
    title: 'an unknown OSTYPE',
    layers: `[install({ image, os: 'Gentoo' })]`,
    code: 1,
    error: /"Gentoo".*'Raspberry Pi OS', 'Debian', 'Ubuntu'/,
  },
  {
    title: 'a deploy stage as an input',
    layers: `[sign({ artifacts: image })]`,
    code: 1,
    error: /option `layers\.0` got Derivation: takes the result of a build stage/,
  },
  {
    title: 'an image where a table belongs',
    save: `{ stock, image, table: image, layers, name: 'sample' }`,
    code: 1,
    error: /the result of `mount` is needed, and this is none/,
  },
  {
    title: 'a name that is a path',
    save: `{ stock, image, table, layers, name: '../x' }`,
    code: 1,
    error: /option `name` got "\.\.\/x"/,
  },
  {
    title: 'a size that is none',
    save: `{ stock, image, table, layers, name: 'x', grow: '1X' }`,
    code: 1,
    error: /option `grow` got "1X"/,
  },
  {
    title: 'a size to grow to that is smaller',
    save: `{ stock, image, table, layers, name: 'x', grow: '1M' }`,
    code: 1,
    error: /134217728 bytes and cannot become 1048576/,
  },
  {
    title: 'a file that is not there',
    from: `fetch({ file: 'missing.img.xz' })`,
    code: 1,
    error: /missing\.img\.xz: there is no such file\n {2}try: /,
  },
  {
    title: 'a file with another sum',
    from: `fetch({ file: 'stock.img.xz', sha256: '${'0'.repeat(64)}' })`,
    code: 5,
    error: /stock\.img\.xz: the file has sha256/,
  },
  {
    title: 'a URL without a sum',
    from: `fetch({ url: 'https://example.com/x.img.xz' })`,
    code: 1,
    error: /sha256/,
  },
  {
    title: 'a download with --offline',
    from: `fetch({ url: 'http://127.0.0.1:1/x.img.xz', sha256: '${'0'.repeat(64)}' })`,
    args: ['--offline'],
    code: 4,
    error: /offline/,
  },
  {
    title: 'a server that does not answer',
    from: `fetch({ url: 'http://127.0.0.1:1/x.img.xz', sha256: '${'0'.repeat(64)}' })`,
    code: 4,
    error: /127\.0\.0\.1/,
  },
  {
    title: 'a missing program',
    layers: '[needy({})]',
    code: 7,
    error: /the program `no-such-program` is not installed\n {2}try: .*doctor/,
  },
  {
    title: 'a script that fails',
    layers: `[script({ text: 'echo before; echo why >&2; exit 9' })]`,
    code: 4,
    error: /sh .*exit code 9:\nwhy/,
  },
  {
    title: 'a script that hangs',
    layers: `[script({ text: 'sleep 1000 & sleep 1000', timeout: 1000 })]`,
    code: 4,
    error: /was ended after 1000 ms/,
  },
  { title: 'a stage that throws', layers: `[thrower({})]`, code: 4, error: /thrower: no such colour/ },
  {
    title: 'a pipeline without targets',
    prepare: ({ project, code }) =>
      writeFile(
        join(project, 'pipeline.ts'),
        `import { pipeline } from '${code}/lib/index.ts'\nawait pipeline({})`,
      ),
    code: 1,
    error: /no targets/,
  },
  {
    title: 'a SOURCE_DATE_EPOCH that is none',
    env: { SOURCE_DATE_EPOCH: 'yesterday' },
    code: 1,
    error: /SOURCE_DATE_EPOCH is "yesterday"\n {2}try: seconds since 1970/,
  },
  {
    title: 'a signing key that is none',
    env: { FLEETSIE_SIGNING_KEY: 'SECRET-MARK', FLEETSIE_SIGNING_CERT: 'x' },
    code: 1,
    error: /FLEETSIE_SIGNING_KEY/,
  },
  {
    title: 'a store that is none',
    prepare: async ({ store }) => {
      await mkdir(store)
      await writeFile(join(store, 'db.sqlite'), 'this is no database at all'.repeat(100))
    },
    code: 6,
    error: /db\.sqlite/,
  },
  {
    title: 'a store where a file is',
    prepare: ({ store }) => writeFile(store, 'x'),
    code: 8,
    error: /store/,
  },
])
