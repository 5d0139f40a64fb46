// node scripts/setup.mjs: makes a clone ready to build, without building anything.
import { setUp } from './setup/setup.mjs'
import { main } from './setup/terminal.mjs'

await main(async () => setUp(['always', 'customize', 'debian']))
