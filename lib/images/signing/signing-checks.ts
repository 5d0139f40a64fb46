/** What a key and its certificates must be, so that what they sign is accepted by stock tools. By node:crypto alone. */
import type { KeyObject, X509Certificate } from 'node:crypto'
import { FleetsieError } from '../../errors.ts'

/** In the subject of every certificate that was made unasked, and is not meant to be trusted by anyone else. */
export const developmentName = 'fleetsie development key'

/** Signer first, root last. */
export type Chain = readonly [X509Certificate, ...X509Certificate[]]

const minModulus = 3072
/** What OpenSSL's security level 2, Debian's default, takes of an issuer. */
const minIssuerModulus = 2048
const usages = { '1.3.6.1.5.5.7.3.3': 'code signing', '1.3.6.1.5.5.7.3.4': 'e-mail protection' }

/** Refuses a key that is not RSA with 3072 bits or more. `place` says where it came from. */
export function checkKey(key: KeyObject, place: string): void {
  if (key.asymmetricKeyType !== 'rsa') {
    throw new FleetsieError('E_INPUT', `${place} holds a key of type ${key.asymmetricKeyType}, not RSA`, {
      hint: 'use an RSA key of 3072 bits or more: the certificates are made by node-forge, which knows no other kind',
    })
  }
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0
  if (bits < minModulus) {
    throw new FleetsieError('E_UNSAFE', `${place} holds an RSA key of ${bits} bits`, {
      hint: `use one of ${minModulus} bits or more`,
    })
  }
}

/** Puts certificates into order from the key's own to the root. Fails with E_INPUT if one of them is missing. */
export function orderChain(certificates: readonly X509Certificate[], key: KeyObject, place: string): Chain {
  const signer = certificates.find((certificate) => certificate.checkPrivateKey(key))
  if (!signer) {
    throw new FleetsieError('E_INPUT', `no certificate in ${place} belongs to the key`, {
      hint: 'give the key and the certificate that was issued for it',
    })
  }
  const chain: [X509Certificate, ...X509Certificate[]] = [signer]
  for (let last = signer; !issues(last, last); ) {
    const issuer = certificates.find((candidate) => !chain.includes(candidate) && issues(candidate, last))
    if (!issuer) {
      throw new FleetsieError('E_INPUT', `${place} lacks the certificate of ${oneLine(last.issuer)}`, {
        hint: 'append the certificates of all issuers, the root among them',
      })
    }
    chain.push(issuer)
    last = issuer
  }
  return chain
}

/** Fails with E_INPUT if a certificate is not valid now, or not for what it is used. */
export function checkChain(chain: Chain, now: Date, place: string): void {
  for (const certificate of chain) checkValidity(certificate, now, place)
  const [signer, ...issuers] = chain
  // X509Certificate.keyUsage is the extended one: a list of OIDs, absent if the certificate may do anything.
  const allowed = signer.keyUsage as string[] | undefined
  const missing = Object.entries(usages).filter(([oid]) => allowed && !allowed.includes(oid))
  if (missing.length > 0) {
    const names = missing.map(([, name]) => name).join(' and ')
    throw new FleetsieError('E_INPUT', `the certificate in ${place} is not meant for ${names}`, {
      hint: 'have it issued for code signing and e-mail protection: stock openssl accepts no other CMS signature',
    })
  }
  for (const issuer of issuers) {
    const { asymmetricKeyType, asymmetricKeyDetails } = issuer.publicKey
    const bits = asymmetricKeyDetails?.modulusLength ?? 0
    if (!issuer.ca || (asymmetricKeyType === 'rsa' && bits < minIssuerModulus)) {
      const what = issuer.ca ? `has a key of only ${bits} bits` : 'is not one of a certificate authority'
      throw new FleetsieError('E_INPUT', `the certificate of ${oneLine(issuer.subject)} in ${place} ${what}`)
    }
  }
}

function checkValidity(certificate: X509Certificate, now: Date, place: string): void {
  const name = oneLine(certificate.subject)
  if (now > new Date(certificate.validTo)) {
    throw new FleetsieError(
      'E_INPUT',
      `the certificate of ${name} in ${place} expired on ${certificate.validTo}`,
      {
        hint: 'have it renewed; a development key is made anew once its files are moved away',
      },
    )
  }
  if (now < new Date(certificate.validFrom)) {
    throw new FleetsieError(
      'E_INPUT',
      `the certificate of ${name} in ${place} begins on ${certificate.validFrom}`,
      {
        hint: 'check the clock of this machine',
      },
    )
  }
}

function issues(issuer: X509Certificate, subject: X509Certificate): boolean {
  return subject.checkIssued(issuer) && subject.verify(issuer.publicKey)
}

/** node:crypto writes one attribute a line. */
export function oneLine(name: string): string {
  return name.replaceAll('\n', ', ')
}
