/* http1_chars.c - the classes of characters in HTTP/1, as one table, and what is asked of them from
 * outside the parser. Not here: scanning, which is inline in http1_parts.h. */
#include "proto/http1_parts.h"

#include <string.h>

#define VALUE   CREW__HTTP_VALUE
#define TOKEN   CREW__HTTP_TOKEN
#define HOST    CREW__HTTP_HOST
#define VISIBLE (VALUE | CREW__HTTP_TARGET)
#define ALL     (VISIBLE | TOKEN | HOST)

/* What is not named, the control characters, is of no class. */
const uint8_t crew__http_class[256] = {
	['\t'] = VALUE,
	[' '] = VALUE,
	['!'] = ALL,
	['"'] = VISIBLE,
	['#'] = VALUE | TOKEN,
	['$'] = ALL,
	['%'] = VISIBLE | TOKEN,
	['&' ... '\''] = ALL,
	['(' ... ')'] = VISIBLE | HOST,
	['*' ... '+'] = ALL,
	[','] = VISIBLE,
	['-' ... '.'] = ALL,
	['/'] = VISIBLE,
	['0' ... '9'] = ALL,
	[':'] = VISIBLE,
	[';'] = VISIBLE | HOST,
	['<'] = VISIBLE,
	['='] = VISIBLE | HOST,
	['>'] = VISIBLE,
	['?'] = VALUE,
	['@'] = VISIBLE,
	['A' ... 'Z'] = ALL,
	['[' ... ']'] = VISIBLE,
	['^'] = VISIBLE | TOKEN,
	['_'] = ALL,
	['`'] = VISIBLE | TOKEN,
	['a' ... 'z'] = ALL,
	['{'] = VISIBLE,
	['|'] = VISIBLE | TOKEN,
	['}'] = VISIBLE,
	['~'] = ALL,
	[0x80 ... 0xFF] = VALUE,
};

bool crew__http_token(crew_bytes name)
{
	if (name.len == 0)
		return false;
	const char *end = name.data + name.len;
	return crew__http_skip(name.data, end, CREW__HTTP_TOKEN) == end;
}

bool crew__http_field_value(crew_bytes value)
{
	if (value.len == 0)
		return true;
	const char *end = value.data + value.len;
	return crew__http_skip_value(value.data, end) == end;
}

static unsigned char lower(char c)
{
	return (unsigned char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
}

bool crew__http_same(crew_bytes a, crew_bytes b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		if (lower(a.data[i]) != lower(b.data[i]))
			return false;
	return true;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t';
}

bool crew__http_element(crew_bytes *rest, crew_bytes *ret_element)
{
	if (!rest->data)
		return false;
	const char *at = rest->data, *end = at + rest->len;
	const char *comma = rest->len ? memchr(at, ',', rest->len) : NULL;
	*rest = comma ? (crew_bytes){ comma + 1, (size_t)(end - comma) - 1 } : (crew_bytes){ 0 };
	if (comma)
		end = comma;
	while (at < end && is_space(*at))
		at++;
	while (end > at && is_space(end[-1]))
		end--;
	*ret_element = (crew_bytes){ at, (size_t)(end - at) };
	return true;
}
