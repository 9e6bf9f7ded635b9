// Words in the page's language, out of locales/*/main.json. Does nothing when the page imports it by itself.

/** @typedef {string | { text: string, values: Text[] }} Text of the server: plain, or a template with what fills its marks */

const MARK = /<(\w+)>/g

/** @type {Record<string, string>} */
let words = {}
/** @type {Promise<any> | undefined} */
let translations

/** The words of the page's language; English ones until they are here. @param {any} app @param {any} api */
export async function loadWords(app, api) {
  translations ??= api.fetchApi('/i18n').then((reply) => reply.json()).catch(() => ({}))
  const languages = await translations
  useWords(languages[app.extensionManager?.setting?.get('Comfy.Locale') ?? 'en']?.ipadapter ?? {})
}

/** @param {Record<string, string>} table */
export function useWords(table) {
  words = table
}

/** @param {string} text English, which is also its name among the translations @param {Record<string, any>} [values] */
export function say(text, values = {}) {
  return (words[text] ?? text).replace(MARK, (mark, name) => (name in values ? String(values[name]) : mark))
}

/** A text of the server in the page's language; plain strings stay as they are. @param {Text} text @returns {string} */
export function translate(text) {
  if (typeof text === 'string') return text
  return say(text.text, Object.fromEntries(text.values.map((value, index) => [index + 1, translate(value)])))
}
