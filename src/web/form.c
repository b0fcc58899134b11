#include "web/form.h"

#include "web/percent.h"

/* Not crew__percent_decode, for which a bad escape is an error. Its length; `out` has room for
 * in.len bytes. */
static size_t decode(crew_bytes in, char *out)
{
	char *to = out;
	for (size_t i = 0; i < in.len; i++) {
		int byte = in.data[i] == '%' && in.len - i > 2 ? crew__percent_byte(in.data + i + 1)
							       : -1;
		if (byte >= 0)
			i += 2;
		else if (in.data[i] == '+')
			byte = ' ';
		*to++ = byte >= 0 ? (char)byte : in.data[i];
	}
	return (size_t)(to - out);
}

static bool is_coded(crew_bytes text)
{
	return text.len > 0 &&
	       (memchr(text.data, '%', text.len) || memchr(text.data, '+', text.len));
}

/* False without memory. */
static bool decode_text(crew_bytes *text, struct crew__arena *arena)
{
	if (!is_coded(*text))
		return true;
	char *out = crew__arena_take(arena, text->len);
	if (!out)
		return false;
	*text = (crew_bytes){ out, decode(*text, out) };
	return true;
}

/* Up to the next `&`; false behind the last. Empty pairs are passed over. */
static bool next_pair(const char **at, const char *end, crew_bytes *ret_pair)
{
	while (*at < end && **at == '&')
		(*at)++;
	if (*at == end)
		return false;
	const char *stop = memchr(*at, '&', (size_t)(end - *at));
	if (!stop)
		stop = end;
	*ret_pair = (crew_bytes){ *at, (size_t)(stop - *at) };
	*at = stop;
	return true;
}

static size_t count_pairs(crew_bytes text)
{
	const char *at = text.data;
	crew_bytes pair;
	size_t count = 0;
	while (next_pair(&at, text.data + text.len, &pair))
		count++;
	return count;
}

static crew_header cut(crew_bytes pair)
{
	const char *equals = memchr(pair.data, '=', pair.len);
	const char *end = pair.data + pair.len;
	if (!equals)
		return (crew_header){ pair, { end, 0 } };
	return (crew_header){
		{ pair.data, (size_t)(equals - pair.data) },
		{ equals + 1, (size_t)(end - equals - 1) },
	};
}

int crew__form_read(crew_bytes text, struct crew__arena *arena, const crew_header **ret_items,
	size_t *ret_count)
{
	size_t count = text.len > 0 ? count_pairs(text) : 0;
	if (count > CREW__FORM_PAIRS_MOST)
		return -E2BIG;
	crew_header *items = crew__arena_take(arena, count * sizeof(*items));
	if (!items)
		return -ENOMEM;
	const char *at = text.data;
	for (size_t i = 0; i < count; i++) {
		crew_bytes pair = { NULL, 0 };
		next_pair(&at, text.data + text.len, &pair);
		items[i] = cut(pair);
		if (!decode_text(&items[i].name, arena) || !decode_text(&items[i].value, arena))
			return -ENOMEM;
	}
	*ret_items = items;
	*ret_count = count;
	return 0;
}
