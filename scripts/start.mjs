// npm start: makes a clone ready and builds the sample image. `npm start -- debian` builds another target.
import { root, setUp } from './setup/setup.mjs'
import { childEnvironment, main, run } from './setup/terminal.mjs'

await main(async () => {
  setUp(['always', 'customize', 'debian'])
  // Node 20 cannot read .ts by itself. Later ones can; the loader would only cost time.
  const env = process.features.typescript
    ? childEnvironment()
    : childEnvironment({ NODE_OPTIONS: '--import=tsx' })
  return run(
    process.execPath,
    ['node_modules/zx/build/cli.js', 'pipeline.ts', 'build', ...process.argv.slice(2)],
    {
      cwd: root,
      env,
    },
  )
})
