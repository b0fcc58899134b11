#include "web/cookie.h"

#include "proto/http1.h"
#include "web/percent.h"

#include <stdio.h>

/* ---- reading ------------------------------------------------------------------------------- */

static crew_bytes unquote(crew_bytes text)
{
	if (text.len >= 2 && text.data[0] == '"' && text.data[text.len - 1] == '"')
		return (crew_bytes){ text.data + 1, text.len - 2 };
	return text;
}

/* False without memory. */
static bool decode_value(crew_bytes *value, struct crew__arena *arena)
{
	if (value->len == 0 || !memchr(value->data, '%', value->len))
		return true;
	char *out = crew__arena_take(arena, value->len);
	if (!out)
		return false;
	int64_t len = crew__percent_decode(*value, out, false);
	if (len >= 0)
		*value = (crew_bytes){ out, (size_t)len };
	return true;
}

static bool cut(crew_bytes pair, crew_header *ret_item)
{
	const char *equals = pair.len > 0 ? memchr(pair.data, '=', pair.len) : NULL;
	if (!equals)
		return false;
	size_t before = (size_t)(equals - pair.data);
	ret_item->name = crew__http_trim((crew_bytes){ pair.data, before });
	ret_item->value = unquote(
		crew__http_trim((crew_bytes){ equals + 1, pair.len - before - 1 }));
	return ret_item->name.len > 0;
}

int crew__cookie_read(crew_bytes field, struct crew__arena *arena, crew_header **items,
	size_t *count, size_t *capacity)
{
	while (field.len > 0) {
		const char *stop = memchr(field.data, ';', field.len);
		size_t len = stop ? (size_t)(stop - field.data) : field.len;
		crew_header item;
		bool good = cut((crew_bytes){ field.data, len }, &item);
		field.data += len + (stop != NULL);
		field.len -= len + (stop != NULL);
		if (!good)
			continue;
		crew_header *all = crew__arena_grow(
			arena, *items, capacity, *count + 1, sizeof(*all));
		if (!all || !decode_value(&item.value, arena))
			return -ENOMEM;
		*items = all;
		all[(*count)++] = item;
	}
	return 0;
}

/* ---- writing ------------------------------------------------------------------------------- */

/* cookie-octet, but for the `%` that begins our own escapes. */
static bool is_plain(unsigned char c)
{
	return c > 0x20 && c < 0x7f && c != '"' && c != ',' && c != ';' && c != '\\' && c != '%';
}

struct room {
	char *at, *end;
	bool full;
};

static void put(struct room *room, const char *data, size_t len)
{
	room->full = room->full || (size_t)(room->end - room->at) < len;
	if (room->full || len == 0)
		return;
	memcpy(room->at, data, len);
	room->at += len;
}

static void put_text(struct room *room, const char *text)
{
	put(room, text, strlen(text));
}

static void put_value(struct room *room, crew_bytes value)
{
	static const char hex[] = "0123456789ABCDEF";
	for (size_t i = 0; i < value.len && !room->full; i++) {
		unsigned char c = (unsigned char)value.data[i];
		const char coded[3] = { '%', hex[c >> 4], hex[c & 15] };
		if (is_plain(c))
			put(room, value.data + i, 1);
		else
			put(room, coded, sizeof(coded));
	}
}

/* RFC 6265 section 4.1.1: any printable ASCII but `;`. One that does not begin with `/` a browser
 * replaces by its own guess. */
static bool is_path(const char *path)
{
	if (path[0] != '/')
		return false;
	for (; *path; path++)
		if (*path < 0x20 || *path > 0x7e || *path == ';')
			return false;
	return true;
}

static bool is_label_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '_';
}

/* Labels of letters, digits, `-` and `_` between dots; a dot in front means nothing to browsers
 * (RFC 6265 section 4.1.2.3). */
static bool is_domain(const char *domain)
{
	size_t label = 0;
	if (*domain == '.')
		domain++;
	if (strlen(domain) > 253)
		return false;
	for (; *domain; domain++) {
		if (*domain == '.' ? label == 0 : !is_label_char(*domain))
			return false;
		label = *domain == '.' ? 0 : label + 1;
		if (label > 63)
			return false;
	}
	return label > 0;
}

static bool begins_with(const char *name, const char *prefix)
{
	size_t len = strlen(prefix);
	return crew__http_same(
		(crew_bytes){ name, strnlen(name, len) }, (crew_bytes){ prefix, len });
}

static bool is_valid(const crew_cookie *cookie)
{
	const char *path = cookie->path ? cookie->path : "/";
	if (!cookie->name || !crew__http_token(crew_str(cookie->name)))
		return false;
	if (!cookie->value.data && cookie->value.len > 0)
		return false;
	if (!is_path(path) || (cookie->domain && !is_domain(cookie->domain)))
		return false;
	if ((unsigned)cookie->same_site > CREW_SAME_SITE_UNSET)
		return false;
	if (cookie->same_site == CREW_SAME_SITE_NONE && !cookie->secure)
		return false;
	bool host = begins_with(cookie->name, "__Host-");
	if ((host || begins_with(cookie->name, "__Secure-")) && !cookie->secure)
		return false;
	return !host || (!cookie->domain && strcmp(path, "/") == 0);
}

/* Max-Age alone: whoever knows it ignores Expires, and that is every browser there is; and it does
 * not depend on the client's clock. */
static void put_age(struct room *room, int64_t max_age_s)
{
	char text[40];
	if (max_age_s == 0)
		return;
	int n = snprintf(
		text, sizeof(text), "; Max-Age=%lld", max_age_s > 0 ? (long long)max_age_s : 0);
	put(room, text, (size_t)n);
}

static void put_attributes(struct room *room, const crew_cookie *cookie)
{
	static const char *const same_site[] = {
		[CREW_SAME_SITE_LAX] = "; SameSite=Lax",
		[CREW_SAME_SITE_STRICT] = "; SameSite=Strict",
		[CREW_SAME_SITE_NONE] = "; SameSite=None",
		[CREW_SAME_SITE_UNSET] = "",
	};
	put_text(room, "; Path=");
	put_text(room, cookie->path ? cookie->path : "/");
	if (cookie->domain) {
		put_text(room, "; Domain=");
		put_text(room, cookie->domain);
	}
	put_age(room, cookie->max_age_s);
	if (cookie->secure)
		put_text(room, "; Secure");
	if (!cookie->script)
		put_text(room, "; HttpOnly");
	put_text(room, same_site[cookie->same_site]);
}

int crew__cookie_write(const crew_cookie *cookie, char *room_start, size_t size)
{
	struct room room = { room_start, room_start + crew__min(size, INT32_MAX), false };
	if (!is_valid(cookie))
		return -EINVAL;
	if (cookie->path && strlen(cookie->path) > CREW__COOKIE_ATTRIBUTE_MOST)
		return -EMSGSIZE;
	put_text(&room, cookie->name);
	put(&room, "=", 1);
	put_value(&room, cookie->value);
	if (room.full || room.at - room_start > CREW__COOKIE_MOST + 1)
		return -EMSGSIZE;
	put_attributes(&room, cookie);
	return room.full ? -EMSGSIZE : (int)(room.at - room_start);
}
