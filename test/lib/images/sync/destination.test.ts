import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { checkDestination } from '../../../../lib/images/sync/destination.ts'

describe('a destination', () => {
  const taken = [
    'pi',
    'pi@raspberrypi.local',
    'root@10.0.0.7',
    'root@fe80::1%eth0',
    'first.last+ci@host-2',
    'ssh://pi@host:2222',
    'ssh://[2001:db8::1]:22/',
  ]
  for (const text of taken) it(`may be ${text}`, () => assert.equal(checkDestination(text), text))

  const refused = {
    'an option of ssh': '-oProxyCommand=touch /tmp/x',
    'an option behind a user': 'root@-oProxyCommand=x',
    'an option in a URL': 'ssh://-oProxyCommand=x/',
    'a user that is an option': '-l@host',
    'a command for the shell of a ProxyCommand': 'root@$(id)',
    'a user with a quote': "r'x@host",
    'two words': 'root@host id',
    'a second line': 'host\nx',
    'another protocol': 'https://host/',
    'a folder as for scp': 'root@host:/etc',
    nothing: '',
    'a megabyte': 'h'.repeat(1024 * 1024),
  }
  for (const [what, text] of Object.entries(refused)) {
    it(`may not be ${what}`, () => {
      assert.throws(() => checkDestination(text), { code: 'E_USAGE', hint: /USER@HOST/ })
    })
  }
})
