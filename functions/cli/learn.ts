import type { JsonObject } from '../heron/json.ts';

/**
 * Learns what webhooks look like from examples, one after another, in bounded space, and keeps no value of theirs. Keys
 * of an object can be values themselves (ids, people's names): those that are not names of fields, as far as one can
 * tell, are forgotten too, and what they lead to is learned as one.
 */
export class Learned {
  readonly #root = newPlace();
  #places = 1;

  /** From how many examples. */
  get count(): number {
    return this.#root.count;
  }

  /** @param example as `JSON.parse` gives it. */
  add(example: unknown): void {
    this.#learn(this.#root, example, 0);
  }

  /** JSON Schema that all examples fit. Its objects take no member that no example had. */
  schema(description: string): JsonObject {
    return { $schema: 'https://json-schema.org/draft/2020-12/schema', description, ...schemaOf(this.#root) };
  }

  /** The same as a type in TypeScript. */
  types(name: string, description: string): string {
    return `/** ${description} */\nexport type ${name} = ${typeOf(this.#root, '')};`;
  }

  #learn(place: Place, value: unknown, level: number): void {
    place.count++;
    if (place.isOpen) return;
    const type = typeName(value);
    place.types.add(type);
    if (type === 'array') for (const item of value as unknown[]) this.#learnAt(place, 'items', item, level);
    if (type === 'object') {
      const members = Object.entries(value as object);
      place.objects++;
      place.largest = Math.max(place.largest, members.length);
      for (const [key, inner] of members) this.#learnMember(place, key, inner, level);
    }
  }

  #learnMember(place: Place, key: string, value: unknown, level: number): void {
    let member = place.members.get(key);
    if (member === undefined && isName(key) && !place.isMap && place.members.size < MAX_NAMES && this.#hasRoom(level)) {
      // The end user's metadata is the customer's own, keys and all.
      member = newPlace(level === 0 && key === 'meta');
      place.members.set(key, member);
    }
    if (member === undefined) this.#learnAt(place, 'others', value, level);
    else this.#learn(member, value, level + 1);
  }

  #learnAt(place: Place, part: 'items' | 'others', value: unknown, level: number): void {
    place[part] ??= { ...newPlace(), isOpen: !this.#hasRoom(level) };
    this.#learn(place[part], value, level + 1);
  }

  /** Takes the room for one more place, where there is some. */
  #hasRoom(level: number): boolean {
    if (level >= MAX_LEVELS || this.#places >= MAX_PLACES) return false;
    this.#places++;
    return true;
  }
}

type Type = 'array' | 'boolean' | 'integer' | 'null' | 'number' | 'object' | 'string';

/** What was at one place of the examples. */
type Place = {
  readonly types: Set<Type>;
  /** How often anything was; of a member, in how many objects. */
  count: number;
  /** How many objects there were, and how many members the largest had. */
  objects: number;
  largest: number;
  readonly members: Map<string, Place>;
  /** Whether all keys are values. */
  readonly isMap: boolean;
  /** What members have in common whose names are not kept. */
  others: Place | null;
  items: Place | null;
  /** What came here was not looked into: anything fits. */
  readonly isOpen: boolean;
};

/** Past these, what comes is not kept apart. */
const [MAX_NAMES, MAX_PLACES, MAX_LEVELS] = [200, 2_000, 32];

/** Of fields, each object has a good part; keys that are values go on becoming more. */
const CROWD = 4;
/** In a crowd, a field is what so many of the objects have. */
const [COMMON, AT_LEAST] = [0.05, 2];

function newPlace(isMap = false): Place {
  return {
    types: new Set(),
    count: 0,
    objects: 0,
    largest: 0,
    members: new Map(),
    isMap,
    others: null,
    items: null,
    isOpen: false,
  };
}

function typeName(value: unknown): Type {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number';
  if (typeof value === 'string') return 'string';
  return typeof value === 'boolean' ? 'boolean' : 'object';
}

/** Whether a key looks like the name of a field, rather than an id, a date, an address or a number. */
export function isName(key: string): boolean {
  const digits = key.match(/\d+/g) ?? [];
  return (
    /^(?!__)[A-Za-z_][A-Za-z0-9_-]{0,63}$/.test(key) &&
    !(key in Object.prototype) && // validators mistake what every object has for a member
    digits.length <= 2 &&
    digits.every((run) => run.length <= 3) &&
    key.split(/[_-]/).every(isWord)
  );
}

/** Random letters and digits change their kind far more often than camelCase does. */
function isWord(text: string): boolean {
  const parts = text.match(/[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+/g) ?? [];
  return text.length < 8 || text.length >= 2.5 * parts.length;
}

type Members = { readonly named: readonly (readonly [string, Place])[]; readonly others: Place | null };

/** The members that are told by name, and what all others have in common. */
function membersOf({ members, others, objects, largest }: Place): Members {
  const isCrowd = members.size > CROWD * largest || members.size === MAX_NAMES;
  const isField = ({ count }: Place) => !isCrowd || (count >= AT_LEAST && count >= COMMON * objects);
  const rest = [...members.values()].filter((member) => !isField(member));
  return {
    named: [...members].filter(([, member]) => isField(member)),
    others: [...(others === null ? [] : [others]), ...rest].reduce<Place | null>(merged, null),
  };
}

/** What is known of two places together. */
function merged(one: Place | null, other: Place | null): Place | null {
  if (one === null || other === null) return one ?? other;
  const names = new Set([...one.members.keys(), ...other.members.keys()]);
  return {
    types: one.types.union(other.types),
    count: one.count + other.count,
    objects: one.objects + other.objects,
    largest: Math.max(one.largest, other.largest),
    members: new Map(
      [...names].flatMap((name) => {
        const both = merged(one.members.get(name) ?? null, other.members.get(name) ?? null);
        return both === null ? [] : [[name, both] as const];
      }),
    ),
    isMap: one.isMap || other.isMap,
    others: merged(one.others, other.others),
    items: merged(one.items, other.items),
    isOpen: one.isOpen || other.isOpen,
  };
}

/** In an order of their own, with null at the end. Integers are numbers, too. */
function typesOf({ types }: Place): readonly Type[] {
  const some = [...types].filter((type) => type !== 'null' && (type !== 'integer' || !types.has('number'))).sort();
  return types.has('null') ? [...some, 'null'] : some;
}

function schemaOf(place: Place): JsonObject {
  if (place.isOpen) return {};
  const types = typesOf(place);
  const { named, others } = membersOf(place);
  const required = named.filter(([, { count }]) => count === place.objects).map(([name]) => name);
  return {
    ...(types.length > 0 && { type: types.length === 1 ? (types[0] as string) : [...types] }),
    ...(named.length > 0 && {
      properties: Object.fromEntries(named.map(([name, member]) => [name, schemaOf(member)])),
    }),
    ...(required.length > 0 && { required: required.sort() }),
    ...(place.types.has('object') && { additionalProperties: others === null ? false : schemaOf(others) }),
    ...(place.items !== null && { items: schemaOf(place.items) }),
  };
}

function typeOf(place: Place, indent: string): string {
  if (place.isOpen) return 'unknown';
  const all = typesOf(place).map((type) => {
    switch (type) {
      case 'array': {
        const items = place.items === null ? 'unknown' : typeOf(place.items, indent);
        return place.items !== null && typesOf(place.items).length > 1 ? `(${items})[]` : `${items}[]`;
      }
      case 'object':
        return objectType(place, indent);
      case 'integer':
        return 'number';
      default:
        return type;
    }
  });
  return all.length === 0 ? 'unknown' : all.join(' | ');
}

function objectType(place: Place, indent: string): string {
  const { named, others } = membersOf(place);
  const inner = `${indent}  `;
  const lines = named.map(([name, member]) => {
    const key = /^[A-Za-z_]\w*$/.test(name) ? name : `'${name}'`;
    return `${inner}${key}${member.count === place.objects ? '' : '?'}: ${typeOf(member, inner)};`;
  });
  if (others !== null) lines.push(`${inner}[key: string]: ${named.length === 0 ? typeOf(others, inner) : 'unknown'};`);
  return lines.length === 0 ? 'Record<string, never>' : `{\n${lines.join('\n')}\n${indent}}`;
}
