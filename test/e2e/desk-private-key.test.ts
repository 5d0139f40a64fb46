/** A private key among the changes of a desk goes into an image when its name is given, and not before. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, it } from 'node:test'
import { DeskRig } from '../helpers/desk.ts'
import { needs, needsRoot } from '../helpers/needs.ts'
import { checkout } from '../helpers/npm-project.ts'

const skip = needsRoot || needs('xz', 'debugfs', 'git')
const name = 'overlays/part_2/etc/device.pem'

let rig: DeskRig
before(async () => {
  if (!skip) rig = await DeskRig.make()
})
after(() => rig?.remove())

it('a private key is refused by save, told by the name, and taken when that is given', { skip }, async () => {
  await rig.works(`fleetsie_mod init ${join(checkout, 'fixtures/sample.img.xz')}`)
  const key = '-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQ==\n'
  await writeFile(rig.at('desk/part_2/etc/device.pem'), key)
  const refusal = new RegExp(
    `${name}" holds a private key[\\s\\S]*fleetsie_mod save --allow-private-key ${name}`,
  )
  await rig.fails('fleetsie_mod save', 2, refusal)
  assert.match(await rig.works('fleetsie_mod status'), /1 added/)
  await rig.fails('fleetsie_mod save --allow-private-key part_2/etc/other', 1, /no file among the changes/)
  await rig.works(`fleetsie_mod save --allow-private-key ${name}`)
  await rig.works('xz -dc sample_fleetsie.img.xz >saved.img')
  const read = ['-R', 'cat /etc/device.pem', `${rig.at('desk/saved.img')}?offset=46137344`]
  assert.equal(execFileSync('debugfs', read, { encoding: 'utf8', stdio: 'pipe' }), key)
  assert.match(await rig.works('fleetsie_mod status'), /was saved .* and has all changes/)
  await rig.works('truncate -s 128M card.img && fleetsie_mod updatesd --whole -y ./card.img')
  await rig.works('cmp card.img saved.img')
  await rig.fails('fleetsie_mod save', 2, refusal)
})
