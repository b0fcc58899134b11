/* nearest.c - the edit distance between two short words, and when it is small enough to speak of.
 */
#include "base/nearest.h"

#include <string.h>

enum {
	WORD_MAX = 63,
	PREFIX_MIN = 3
};

static size_t least(size_t a, size_t b, size_t c)
{
	return crew__min(a, crew__min(b, c));
}

size_t crew__edit_distance(const char *a, const char *b)
{
	size_t rows[3][WORD_MAX + 1];
	size_t *before = rows[0], *last = rows[1], *row = rows[2];
	size_t a_len = strlen(a), b_len = strlen(b);
	if (a_len > WORD_MAX || b_len > WORD_MAX)
		return SIZE_MAX;
	for (size_t j = 0; j <= b_len; j++)
		last[j] = j;
	for (size_t i = 1; i <= a_len; i++) {
		row[0] = i;
		for (size_t j = 1; j <= b_len; j++) {
			size_t change = last[j - 1] + (a[i - 1] != b[j - 1]);
			row[j] = least(last[j] + 1, row[j - 1] + 1, change);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = crew__min(row[j], before[j - 2] + 1);
		}
		size_t *free_row = before;
		before = last;
		last = row;
		row = free_row;
	}
	return last[b_len];
}

bool crew__nearer(const char *word, const char *name, size_t *best)
{
	size_t len = strlen(word);
	size_t distance = crew__edit_distance(word, name);
	size_t far = crew__max(1, len / 3);
	bool begins = len >= PREFIX_MIN && strncmp(word, name, len) == 0;
	if ((distance > far && !begins) || distance >= *best)
		return false;
	*best = distance;
	return true;
}
