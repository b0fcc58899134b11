/* deflate_shared.c - the compressors and decompressors that a worker's connections have in common.
 * They are made when one is wanted first; of decompressors a few are kept for the next message. */
#include "proto/deflate.h"

#include "base/check.h"

void crew__deflate_shared_init(struct crew__deflate_shared *s)
{
	*s = (struct crew__deflate_shared){ .lent_most = CREW__INFLATERS_LENT };
}

void crew__deflate_shared_fini(struct crew__deflate_shared *s)
{
	crew__must(s->lent == 0);
	for (size_t i = 0; i < crew__lengthof(s->deflaters); i++)
		crew__deflater_free(s->deflaters[i]);
	while (s->idle_count > 0)
		crew__inflater_free(s->idle[--s->idle_count]);
	*s = (struct crew__deflate_shared){ 0 };
}

struct crew__deflater *crew__deflate_shared_deflater(struct crew__deflate_shared *s, unsigned bits)
{
	crew__must(bits >= CREW__DEFLATE_BITS_LEAST && bits <= CREW__DEFLATE_BITS_MOST);
	if (!s->deflaters[bits])
		s->deflaters[bits] = crew__deflater_new(bits, CREW__DEFLATE_LEVEL);
	return s->deflaters[bits];
}

static struct crew__inflater *idle_or_new(struct crew__deflate_shared *s)
{
	if (s->idle_count == 0)
		return crew__inflater_new(CREW__DEFLATE_BITS_MOST);
	struct crew__inflater *f = s->idle[--s->idle_count];
	crew__inflater_reset(f);
	return f;
}

struct crew__inflater *crew__inflater_lend(struct crew__deflate_shared *s, bool whole)
{
	if (!whole && s->lent >= s->lent_most) {
		errno = ENOBUFS;
		return NULL;
	}
	struct crew__inflater *f = idle_or_new(s);
	if (!f)
		errno = ENOMEM;
	else if (!whole)
		s->lent++;
	return f;
}

void crew__inflater_return(struct crew__deflate_shared *s, struct crew__inflater *f, bool whole)
{
	if (!whole)
		s->lent--;
	if (s->idle_count < crew__lengthof(s->idle))
		s->idle[s->idle_count++] = f;
	else
		crew__inflater_free(f);
}
