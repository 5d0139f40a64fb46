/** Every OSTYPE that `install` takes; the first is the default. */
import { debianOs } from './debian.ts'
import { raspberryPiOs } from './raspberry-pi-os.ts'
import type { Recipe } from './recipe.ts'
import { ubuntu } from './ubuntu.ts'

export const recipes: readonly Recipe[] = [raspberryPiOs, debianOs, ubuntu]
export const osTypes: readonly string[] = recipes.map((recipe) => recipe.os)
