/* session.c - a session's values; see session.h.
 *
 * In a store, numbers big-endian:
 *
 *   "crewS" version(1)  scope length(2) scope  count(2)
 *   then for each value: flags(1) name length(2) value length(4) name value */
#include "web/session.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum {
	VERSION = 1,
	FLASH = 1, /* the only flag so far */
	MARK = 6,  /* length of mark and version */
	ENTRY = 7, /* of a value's numbers */
	SCOPE_MOST = 1024,
	RANDOM_BYTES = 32
};

static const char mark[MARK] = { 'c', 'r', 'e', 'w', 'S', VERSION };

enum age {
	LASTING,
	FLASH_NEW, /* set here: stored as a flash */
	FLASH_OLD, /* read as one: not stored again */
};

struct crew__value {
	crew_bytes key, value; /* in the arena, a NUL behind each */
	enum age age;
};

_Static_assert(CREW__VALUES_ENCODED >=
		       CREW__VALUES_BYTES + CREW__VALUES_MOST * ENTRY + MARK + SCOPE_MOST + 4,
	"every session can be stored");

/* ---- in memory ----------------------------------------------------------------------------- */

void crew__values_init(struct crew__values *v)
{
	*v = (struct crew__values){ .arena = { .max = CREW__VALUES_MEMORY } };
}

void crew__values_fini(struct crew__values *v)
{
	crew__arena_release(&v->arena);
	crew__values_init(v);
}

static struct crew__value *find(const struct crew__values *v, crew_bytes key)
{
	for (size_t i = 0; i < v->count; i++) {
		crew_bytes is = v->items[i].key;
		if (is.len == key.len && memcmp(is.data, key.data, key.len) == 0)
			return &v->items[i];
	}
	return NULL;
}

static struct crew__value *find_text(const struct crew__values *v, const char *key)
{
	return key ? find(v, crew_str(key)) : NULL;
}

crew_bytes crew__values_get(const struct crew__values *v, const char *key)
{
	const struct crew__value *item = find_text(v, key);
	return item ? item->value : (crew_bytes){ NULL, 0 };
}

static void changed(struct crew__values *v)
{
	v->changed = true;
	v->all = NULL;
}

static int append(struct crew__values *v, crew_bytes key, crew_bytes value, enum age age)
{
	struct crew__value *items = crew__arena_grow(
		&v->arena, v->items, &v->capacity, v->count + 1, sizeof(*items));
	if (!items)
		return -ENOMEM;
	v->items = items;
	struct crew__value item = { .age = age };
	item.key = crew__arena_copy(&v->arena, key);
	item.value = crew__arena_copy(&v->arena, value);
	if (!item.key.data || !item.value.data)
		return -ENOMEM;
	items[v->count++] = item;
	v->bytes += key.len + value.len;
	return 0;
}

static int replace(struct crew__values *v, struct crew__value *item, crew_bytes value, enum age age)
{
	bool same = item->value.len == value.len &&
		    (value.len == 0 || memcmp(item->value.data, value.data, value.len) == 0);
	if (same && item->age == age)
		return 0;
	crew_bytes copy = same ? item->value : crew__arena_copy(&v->arena, value);
	if (!copy.data)
		return -ENOMEM;
	v->bytes += value.len - item->value.len;
	item->value = copy;
	item->age = age;
	changed(v);
	return 0;
}

/* Would it be too much, with `item` (may be NULL) replaced? */
static bool too_much(const struct crew__values *v, const struct crew__value *item, crew_bytes key,
	crew_bytes value)
{
	size_t rest = item ? v->bytes - item->key.len - item->value.len : v->bytes;
	if (!item && v->count >= CREW__VALUES_MOST)
		return true;
	return key.len > CREW__VALUES_BYTES || value.len > CREW__VALUES_BYTES ||
	       rest + key.len + value.len > CREW__VALUES_BYTES;
}

int crew__values_set(struct crew__values *v, const char *key, crew_bytes value, bool flash)
{
	if (!key || !*key || (!value.data && value.len > 0))
		return -EINVAL;
	crew_bytes name = crew_str(key);
	struct crew__value *item = find(v, name);
	enum age age = flash ? FLASH_NEW : LASTING;
	if (too_much(v, item, name, value))
		return -EMSGSIZE;
	if (item)
		return replace(v, item, value, age);
	int error = append(v, name, value, age);
	if (!error)
		changed(v);
	return error;
}

static void take_out(struct crew__values *v, struct crew__value *item)
{
	v->bytes -= item->key.len + item->value.len;
	*item = v->items[--v->count];
	changed(v);
}

int crew__values_remove(struct crew__values *v, const char *key)
{
	struct crew__value *item = find_text(v, key);
	if (!item)
		return -ENOENT;
	take_out(v, item);
	return 0;
}

void crew__values_clear(struct crew__values *v)
{
	while (v->count > 0)
		take_out(v, &v->items[v->count - 1]);
}

const crew_header *crew__values_all(struct crew__values *v, size_t *ret_count)
{
	*ret_count = 0;
	if (v->count > 0 && !v->all) {
		v->all = crew__arena_take(&v->arena, v->count * sizeof(*v->all));
		for (size_t i = 0; v->all && i < v->count; i++)
			v->all[i] = (crew_header){ v->items[i].key, v->items[i].value };
	}
	if (v->all)
		*ret_count = v->count;
	return v->all;
}

void crew__values_age(struct crew__values *v)
{
	for (size_t i = v->count; i > 0; i--)
		if (v->items[i - 1].age == FLASH_OLD)
			take_out(v, &v->items[i - 1]);
}

/* ---- to bytes ------------------------------------------------------------------------------ */

static char *put(char *at, uint64_t number, int bytes)
{
	for (int i = bytes - 1; i >= 0; i--)
		*at++ = (char)(unsigned char)(number >> (8 * i));
	return at;
}

static char *put_bytes(char *at, crew_bytes bytes)
{
	if (bytes.len > 0)
		memcpy(at, bytes.data, bytes.len);
	return at + bytes.len;
}

int crew__values_encode(
	const struct crew__values *v, const char *scope, char **ret_data, size_t *ret_len)
{
	crew_bytes whose = { scope, crew__min(strlen(scope), SCOPE_MOST) };
	size_t size = MARK + 2 + whose.len + 2 + v->count * ENTRY + v->bytes;
	char *data = malloc(size);
	if (!data)
		return -ENOMEM;
	char *at = put_bytes(data, (crew_bytes){ mark, MARK });
	at = put_bytes(put(at, whose.len, 2), whose);
	at = put(at, v->count, 2);
	for (size_t i = 0; i < v->count; i++) {
		const struct crew__value *item = &v->items[i];
		at = put(at, item->age == LASTING ? 0 : FLASH, 1);
		/* A name may be as long as all: 65536 would not fit, but its bound counts it whole
		 * and a value of no bytes leaves it at most that. */
		at = put(at, item->key.len - 1, 2);
		at = put(at, item->value.len, 4);
		at = put_bytes(put_bytes(at, item->key), item->value);
	}
	*ret_data = data;
	*ret_len = size;
	return 0;
}

/* ---- from bytes ---------------------------------------------------------------------------- */

/* What is left to read; `bad` once something was not there, and from then on all is zero. */
struct reading {
	crew_bytes left;
	bool bad;
};

static crew_bytes get_bytes(struct reading *r, size_t len)
{
	if (r->bad || len > r->left.len) {
		r->bad = true;
		return (crew_bytes){ "", 0 };
	}
	crew_bytes got = { r->left.data, len };
	r->left.data += len;
	r->left.len -= len;
	return got;
}

static uint64_t get(struct reading *r, size_t bytes)
{
	crew_bytes got = get_bytes(r, bytes);
	uint64_t number = 0;
	for (size_t i = 0; i < got.len; i++)
		number = number << 8 | (unsigned char)got.data[i];
	return number;
}

static int read_value(struct crew__values *v, struct reading *r)
{
	uint64_t flags = get(r, 1);
	size_t key_len = (size_t)get(r, 2) + 1;
	size_t value_len = (size_t)get(r, 4);
	crew_bytes key = get_bytes(r, key_len);
	crew_bytes value = get_bytes(r, value_len);
	if (r->bad || (flags & ~(uint64_t)FLASH) || memchr(key.data, '\0', key.len))
		return -EPROTO;
	if (find(v, key) || too_much(v, NULL, key, value))
		return -EPROTO;
	return append(v, key, value, flags & FLASH ? FLASH_OLD : LASTING);
}

static int read_all(struct crew__values *v, const char *scope, struct reading *r)
{
	crew_bytes begins = get_bytes(r, MARK);
	crew_bytes whose = get_bytes(r, (size_t)get(r, 2));
	size_t count = (size_t)get(r, 2);
	if (r->bad || memcmp(begins.data, mark, MARK) != 0)
		return -EPROTO;
	size_t length = crew__min(strlen(scope), SCOPE_MOST);
	if (whose.len != length || memcmp(whose.data, scope, length) != 0)
		return -EPERM;
	for (size_t i = 0; i < count; i++) {
		int error = read_value(v, r);
		if (error)
			return error;
	}
	return r->left.len > 0 ? -EPROTO : 0;
}

int crew__values_decode(struct crew__values *v, const char *scope, crew_bytes bytes)
{
	struct reading reading = { .left = bytes };
	int error = read_all(v, scope, &reading);
	if (error)
		crew__values_clear(v);
	v->changed = false;
	return error;
}

/* ---- ids ----------------------------------------------------------------------------------- */

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static int get_random(unsigned char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t got = getrandom(bytes, len, 0);
		if (got < 0 && errno != EINTR)
			return -errno;
		if (got > 0) {
			bytes += got;
			len -= (size_t)got;
		}
	}
	return 0;
}

int crew__session_id_make(char ret_id[CREW__SESSION_ID + 1])
{
	unsigned char bytes[RANDOM_BYTES];
	int error = get_random(bytes, sizeof(bytes));
	if (error)
		return error;
	unsigned bits = 0, held = 0, at = 0;
	for (size_t i = 0; i < sizeof(bytes); i++) {
		bits = bits << 8 | bytes[i];
		for (held += 8; held >= 6; held -= 6)
			ret_id[at++] = alphabet[bits >> (held - 6) & 63];
	}
	ret_id[at++] = alphabet[bits << (6 - held) & 63];
	ret_id[at] = '\0';
	return 0;
}

bool crew__session_id_valid(crew_bytes id)
{
	if (id.len != CREW__SESSION_ID)
		return false;
	for (size_t i = 0; i < id.len; i++)
		if (!id.data[i] || !strchr(alphabet, id.data[i]))
			return false;
	return true;
}
