// The floors of the house (docs/architecture.md) and circles, for dependency-cruiser (npm run check).
// A file imports from its own floor or below; each rule forbids one floor what lies above it.

const formats = '^lib/formats/'
const engine = '^lib/engine/'
const middle = '^lib/(images|hosts|fleet)/'
const stages = '^stages/'
const cli = '^lib/cli/'
const pipeline = '^(pipeline\\.ts|lib/index\\.ts)$'

/** Forbids `from` to import what matches `to`. */
const never = (name, comment, from, to) => ({
  name,
  comment,
  severity: 'error',
  from: { path: from },
  to: { path: to },
})
const above = (...floors) => `(${floors.join('|')})`

export default {
  forbidden: [
    {
      name: 'no-circles',
      comment: 'Two files that need each other are one file, or need a third below both.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'no-unresolvable',
      comment: 'An import that leads nowhere.',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
    never(
      'errors-are-the-ground',
      'lib/errors.ts needs nothing of ours.',
      '^lib/errors\\.ts$',
      above('^lib/(?!errors\\.ts)', stages, pipeline),
    ),
    never(
      'formats-floor',
      'Codecs know nothing above them.',
      formats,
      above(engine, middle, stages, cli, pipeline),
    ),
    never(
      'formats-are-pure',
      'A codec takes bytes and gives bytes: it never touches the disk, the network or another process.',
      formats,
      '^(node:)?(fs|fs/promises|child_process|net|http|https|dgram|os|worker_threads|cluster)$',
    ),
    never(
      'engine-floor',
      'The engine could build something other than images.',
      engine,
      above(middle, stages, cli, pipeline),
    ),
    never(
      'middle-floor',
      'What acts on disks, hosts and fleets knows no stage and no command line.',
      middle,
      above(stages, cli, pipeline),
    ),
    never(
      'hosts-know-no-fleet',
      'A machine is set up the same whatever it serves.',
      '^lib/hosts/',
      '^lib/fleet/',
    ),
    never(
      'images-know-no-host',
      'An image is made and written without a server.',
      '^lib/images/',
      '^lib/(hosts|fleet)/',
    ),
    never('stages-floor', 'A stage knows no command line and no pipeline.', stages, above(cli, pipeline)),
    never(
      'stages-without-store',
      'A stage sees its inputs and its output folder, never the store or its database.',
      stages,
      above('^lib/engine/(store|database|gc|locks?)[^/]*(/|\\.ts$)', '/better-sqlite3/'),
    ),
    never('cli-floor', 'The command line is given a pipeline; it imports none.', cli, '^pipeline\\.ts$'),
    never(
      'tests-stay-outside',
      'What is shipped imports no test, bench or script.',
      '^(lib|stages|pipeline\\.ts)',
      '^(test|bench|scripts|fixtures)/',
    ),
    {
      name: 'no-dev-dependencies',
      comment: 'What is shipped needs only what an installation has.',
      severity: 'error',
      from: { path: '^(lib|stages|pipeline\\.ts)' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'], dependencyTypesNot: ['type-only'] },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(dist|out)/' },
    tsConfig: { fileName: 'tsconfig.json' },
    // Imports that only bring types count as well: they tie two floors together just the same.
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
    },
  },
}
