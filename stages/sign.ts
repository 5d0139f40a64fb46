/** Signs what `save` made and puts it into a folder for everyone to take. */
import * as v from 'valibot'
import { input, stage } from '../lib/engine/stage.ts'
import { findSigningKey, fingerprint, signingKey } from '../lib/images/signing/signing-key.ts'

const options = v.strictObject({
  artifacts: v.pipe(input(), v.description('What `save` made.')),
  out: v.pipe(
    v.optional(v.pipe(v.string(), v.nonEmpty()), 'out'),
    v.description('The folder to fill, relative to the one of pipeline.ts, or absolute.'),
  ),
})

export const sign = stage({
  name: 'sign',
  kind: 'deploy',
  module: import.meta.url,
  summary: 'Signs the artifacts and puts them into `out/`.',
  description: `From what \`save\` made to a folder that can be published: image, block map, SBOM, Imager entry and sums,
detached CMS signatures of image and sums (\`.p7s\`, DER), the provenance in a DSSE envelope (\`.intoto.json\`), and
\`ca.crt\`, the root that the signatures lead to. A file that is there already with the same bytes is left alone.

The key comes from \`FLEETSIE_SIGNING_KEY\` and \`FLEETSIE_SIGNING_CERT\`: PEM text, the certificate followed by those of
its issuers up to the root. Else from \`signing.key\` and \`signing.crt\` in \`$XDG_CONFIG_HOME/fleetsie/keys\`
(\`~/.config/fleetsie/keys\`). Without any, a development key is made there once. It takes an RSA key of 3072 bits or more,
with a certificate for code signing and e-mail protection.

Signatures carry no time, so that the same key and image give the same bytes; they hold for as long as the certificate does.`,
  example: "sign({ artifacts: save({ image, table, layers, name: 'sample' }), out: 'out' })",
  options,
  tools: () => ['openssl'],
  pool: 'io',

  async identity(_options, host) {
    const found = await findSigningKey(process.env)
    const key = found ?? (await signingKey(process.env))
    if (!found) host.note(`made a development key: ${key.place}`)
    return key.chain.map(fingerprint).join(' ')
  },

  async apply(context) {
    const { publishArtifacts } = await import('../lib/images/signing/publish-artifacts.ts')
    return publishArtifacts(context)
  },
})
