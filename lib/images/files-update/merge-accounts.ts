/** The account files of a card after an update: the device's lines, and those of the image that it has not. */

/** What holds lines by name, and which of their fields lists members. */
const files = new Map<string, { members?: number }>([
  ['etc/passwd', {}],
  ['etc/shadow', {}],
  ['etc/group', { members: 3 }],
  ['etc/gshadow', { members: 3 }],
  ['etc/subuid', {}],
  ['etc/subgid', {}],
])

export function isAccountFile(path: string): boolean {
  return files.has(path)
}

/** Both as latin1. A group has the members of both sides. */
export function mergeAccounts(path: string, card: string, image: string): string {
  const { members } = files.get(path) ?? {}
  const lines = rows(card)
  const byName = new Map(lines.map((fields) => [fields[0], fields]))
  for (const fields of rows(image)) {
    const own = byName.get(fields[0])
    if (!own) lines.push(fields)
    else if (members !== undefined) {
      own[members] = [...new Set([...list(own[members]), ...list(fields[members])])].join(',')
    }
  }
  return lines.map((fields) => `${fields.join(':')}\n`).join('')
}

/** Names of the image's users or groups whose number is another's on the card: their files would be that one's. */
export function numberClashes(card: string, image: string): string[] {
  const names = new Map(rows(card).map((fields) => [fields[0], fields[2]]))
  const taken = new Map(rows(card).map((fields) => [fields[2], fields[0]]))
  return rows(image).flatMap(([name = '', , number]) => {
    const here = names.get(name)
    if (here !== undefined)
      return here === number ? [] : [`${name} is ${here} on the card, ${number} in the image`]
    const other = taken.get(number)
    return other === undefined ? [] : [`${number} is ${other} on the card, ${name} in the image`]
  })
}

const rows = (text: string): string[][] =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.split(':'))

const list = (field: string | undefined): string[] => (field ?? '').split(',').filter((name) => name !== '')
