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

size_t crew__http_token_span(crew_bytes text)
{
	if (text.len == 0)
		return 0;
	return (size_t)(crew__http_skip(text.data, text.data + text.len, CREW__HTTP_TOKEN) -
			text.data);
}

bool crew__http_token(crew_bytes name)
{
	return name.len > 0 && crew__http_token_span(name) == name.len;
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

crew_bytes crew__http_trim(crew_bytes text)
{
	while (text.len > 0 && crew__http_is_space(text.data[0])) {
		text.data++;
		text.len--;
	}
	while (text.len > 0 && crew__http_is_space(text.data[text.len - 1]))
		text.len--;
	return text;
}

int crew__http_hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	char small = (char)(c | 0x20);
	return small >= 'a' && small <= 'f' ? small - 'a' + 10 : -1;
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
	*ret_element = crew__http_trim((crew_bytes){ at, (size_t)(end - at) });
	return true;
}
