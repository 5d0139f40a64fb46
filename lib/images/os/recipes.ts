/** Every OSTYPE that `install` takes; the first is the default. */
import { debianOs } from './debian.ts'
import { raspberryPiOs } from './raspberry-pi-os.ts'
import { ubuntu } from './ubuntu.ts'

export const recipes = [raspberryPiOs, debianOs, ubuntu] as const
export type OsType = (typeof recipes)[number]['os']
export const osTypes: readonly [OsType, ...OsType[]] = [raspberryPiOs.os, debianOs.os, ubuntu.os]
