/* json_text.c - one character after the other. */
#include "base/json_text.h"

#include "base/utf8.h"

/* How long the character at `i` is; 0: there is none. */
static size_t character(crew_bytes text, size_t i)
{
	for (size_t len = 2; len <= 4 && i + len <= text.len; len++)
		if (crew__utf8_valid((crew_bytes){ text.data + i, len }))
			return len;
	return 0;
}

/* C1 controls and the two separators of lines that JavaScript knows are no plain text either. */
static bool is_sly(const char *character)
{
	const unsigned char *c = (const unsigned char *)character;
	return (c[0] == 0xc2 && c[1] < 0xa0) ||
	       (c[0] == 0xe2 && c[1] == 0x80 && (c[2] == 0xa8 || c[2] == 0xa9));
}

static bool is_plain(unsigned char c)
{
	return c >= ' ' && c < 0x7f && c != '"' && c != '\\';
}

size_t crew__json_character(
	crew_bytes text, size_t i, char ret_text[CREW__JSON_CHARACTER_MAX], size_t *ret_taken)
{
	static const char hex[] = "0123456789abcdef";
	unsigned char c = (unsigned char)text.data[i];
	*ret_taken = 1;
	if (is_plain(c)) {
		ret_text[0] = (char)c;
		return 1;
	}
	if (c == '"' || c == '\\') {
		ret_text[0] = '\\';
		ret_text[1] = (char)c;
		return 2;
	}
	size_t len = c >= 0x80 ? character(text, i) : 0;
	if (len > 0 && !is_sly(text.data + i)) {
		memcpy(ret_text, text.data + i, len);
		*ret_taken = len;
		return len;
	}
	unsigned code = c;
	if (len == 2)
		code = (unsigned char)text.data[i + 1];
	else if (len == 3)
		code = 0x2000u | ((unsigned char)text.data[i + 2] & 0x3fu);
	else if (c >= 0x80 || c == 0) /* some who read JSON end a string at a NUL */
		code = 0xfffd;
	if (len > 0)
		*ret_taken = len;
	ret_text[0] = '\\';
	ret_text[1] = 'u';
	for (unsigned digit = 0; digit < 4; digit++)
		ret_text[2 + digit] = hex[code >> (12 - digit * 4) & 15];
	return 6;
}

size_t crew__json_text(crew_bytes text, char *to, size_t size)
{
	size_t length = 0;
	for (size_t i = 0, taken; i < text.len; i += taken) {
		char shown[CREW__JSON_CHARACTER_MAX];
		size_t len = crew__json_character(text, i, shown, &taken);
		if (len > size - length)
			break;
		memcpy(to + length, shown, len);
		length += len;
	}
	return length;
}
