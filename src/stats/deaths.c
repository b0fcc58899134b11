/* deaths.c - the ring of those that died. */
#include "stats/deaths.h"

#include "base/clock.h"

#include <string.h>

void crew__deaths_add(struct crew__deaths *deaths, const struct crew__death_entry *entry)
{
	uint64_t number = atomic_load_explicit(&deaths->written, memory_order_relaxed) + 1;
	struct crew__death_entry *to = &deaths->entries[(number - 1) % CREW__DEATHS];
	atomic_store_explicit(&to->sequence, 0, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	memcpy((char *)to + sizeof(to->sequence), (const char *)entry + sizeof(entry->sequence),
		sizeof(*to) - sizeof(to->sequence));
	to->wall_ms = crew__clock_wall_ms(CLOCK_REALTIME);
	atomic_store_explicit(&to->sequence, number, memory_order_release);
	atomic_store_explicit(&deaths->written, number, memory_order_release);
}

static void tame_text(char *text, size_t size)
{
	size_t length = strnlen(text, size - 1);
	text[length] = '\0';
	for (size_t i = 0; i < length; i++)
		if ((unsigned char)text[i] < 0x20 || (unsigned char)text[i] >= 0x7f)
			text[i] = '?';
}

static void tame(struct crew__death_entry *copy)
{
	tame_text(copy->words, sizeof(copy->words));
	copy->frames = (uint32_t)crew__min(copy->frames, CREW__DEATH_FRAMES);
	for (size_t i = 0; i < CREW__DEATH_FRAMES; i++)
		tame_text(copy->frame[i], sizeof(copy->frame[i]));
}

static bool copy_entry(
	const struct crew__deaths *deaths, uint64_t number, struct crew__death_entry *copy)
{
	const struct crew__death_entry *from = &deaths->entries[(number - 1) % CREW__DEATHS];
	if (atomic_load_explicit(&from->sequence, memory_order_acquire) != number)
		return false;
	memcpy(copy, from, sizeof(*copy));
	atomic_thread_fence(memory_order_acquire);
	if (atomic_load_explicit(&from->sequence, memory_order_relaxed) != number)
		return false;
	tame(copy);
	return true;
}

size_t crew__deaths_read(
	const struct crew__deaths *deaths, struct crew__death_entry *ret_entries, size_t most)
{
	uint64_t number = atomic_load_explicit(&deaths->written, memory_order_acquire);
	size_t count = 0;
	for (size_t back = 0; back < CREW__DEATHS && number > 0 && count < most; back++, number--)
		count += copy_entry(deaths, number, &ret_entries[count]);
	return count;
}
