/** Keys and certificates for tests, some of them unfit on purpose, made by the program openssl. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export function openssl(...args: string[]): string {
  return execFileSync('openssl', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}

interface Wish {
  /** Arguments of `openssl genpkey`. */
  key?: string[]
  /** A key file to use instead of a new one, which takes time to make. */
  keyFile?: string
  /** Lines of the leaf's extensions. */
  extensions?: string[]
  /** Lines of the root's extensions. */
  rootExtensions?: string[]
  rootName?: string
}

export interface Made {
  keyFile: string
  key: string
  /** Leaf and root. */
  chain: string
  leaf: string
  root: string
  rootFile: string
}

const fit = ['basicConstraints=critical,CA:FALSE', 'keyUsage=critical,digitalSignature']

/** A root and a leaf in `folder`. By default they are fit to sign a release. */
export function makeKey(folder: string, wish: Wish = {}): Made {
  mkdirSync(folder, { recursive: true })
  const file = (name: string) => join(folder, name)
  const config = [
    '[leaf]',
    ...(wish.extensions ?? [...fit, 'extendedKeyUsage=codeSigning,emailProtection']),
    '[root]',
    ...(wish.rootExtensions ?? ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign']),
    '[req]',
    'distinguished_name=name',
    '[name]',
    '',
  ].join('\n')
  writeFileSync(file('config'), config)
  // A root by elliptic curve takes no time to make, and shows that only the signer's key must be RSA.
  openssl('genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', file('root.key'))
  openssl(
    'req',
    '-x509',
    '-new',
    '-key',
    file('root.key'),
    '-subj',
    `/CN=${wish.rootName ?? 'Test root'}`,
    '-days',
    '30',
    '-config',
    file('config'),
    '-extensions',
    'root',
    '-out',
    file('root.crt'),
  )
  const keyFile = wish.keyFile ?? file('leaf.key')
  const rsa = ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:3072']
  if (!wish.keyFile) openssl('genpkey', ...(wish.key ?? rsa), '-out', keyFile)
  openssl(
    'req',
    '-new',
    '-key',
    keyFile,
    '-subj',
    '/CN=Test signer',
    '-config',
    file('config'),
    '-out',
    file('leaf.csr'),
  )
  openssl(
    'x509',
    '-req',
    '-in',
    file('leaf.csr'),
    '-CA',
    file('root.crt'),
    '-CAkey',
    file('root.key'),
    '-days',
    '30',
    '-set_serial',
    '7',
    '-extfile',
    file('config'),
    '-extensions',
    'leaf',
    '-out',
    file('leaf.crt'),
  )
  const read = (name: string) => readFileSync(file(name), 'utf8')
  return {
    keyFile,
    key: readFileSync(keyFile, 'utf8'),
    chain: read('leaf.crt') + read('root.crt'),
    leaf: read('leaf.crt'),
    root: read('root.crt'),
    rootFile: file('root.crt'),
  }
}
