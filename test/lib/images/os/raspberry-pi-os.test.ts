import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { raspberryPiOs } from '../../../../lib/images/os/raspberry-pi-os.ts'

const waiting =
  /^ExecStartPre=-\/usr\/bin\/timeout \d+ \/bin\/sh -c '(.*)'$/m.exec(raspberryPiOs.dropIn)?.[1] ?? ''

for (const file of ['userconf', 'userconf.txt', 'firmware/userconf.txt']) {
  test(`Raspberry Pi OS is not stable while its first user waits for its name in ${file}`, async () => {
    const boot = mkdtempSync(join(tmpdir(), 'fleetsie-boot-'))
    try {
      mkdirSync(join(boot, 'firmware'))
      writeFileSync(join(boot, 'failed_userconf.txt'), '')
      writeFileSync(join(boot, file), 'me:*\n')
      const script = waiting.replaceAll('/boot/', `${boot}/`).replace('sleep 1', 'echo waits; sleep 0.05')
      const child = spawn('sh', ['-c', script], { stdio: ['ignore', 'pipe', 'ignore'] })
      const closed = once(child, 'close')
      const [said] = (await Promise.race([once(child.stdout, 'data'), closed])) as [unknown]
      assert.match(String(said), /^waits/)
      rmSync(join(boot, file))
      child.stdout.resume()
      assert.deepEqual(await closed, [0, null])
    } finally {
      rmSync(boot, { recursive: true })
    }
  })
}
