/* unit_words.c - saying a word so that systemd reads the same word. */
#include "cli/unit.h"

#include "base/utf8.h"

#include <string.h>

/* Words of these alone need no quotes. */
#define PLAIN "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:=,@+-"

bool crew__unit_sayable(const char *word)
{
	if (!crew__utf8_valid((crew_bytes){ word, strlen(word) }))
		return false;
	for (const char *byte = word; *byte; byte++)
		if ((unsigned char)*byte < ' ' || *byte == 0x7f)
			return false;
	return true;
}

static void put(FILE *out, char byte, bool quoted, bool command)
{
	if (quoted && (byte == '"' || byte == '\\'))
		fputc('\\', out);
	if (byte == '%' || (byte == '$' && command))
		fputc(byte, out);
	fputc(byte, out);
}

void crew__unit_word(FILE *out, const char *word, bool command)
{
	bool quoted = word[0] == '\0' || word[strspn(word, PLAIN)] != '\0';
	if (quoted)
		fputc('"', out);
	for (; *word; word++)
		put(out, *word, quoted, command);
	if (quoted)
		fputc('"', out);
}

void crew__unit_text(FILE *out, const char *text)
{
	for (; *text; text++)
		put(out, *text, false, false);
}
