/* deaths.h - the last workers that died without having been asked to, with what they left.
 *
 * A ring behind the directory, written by the master alone, read by `status`. An entry's `sequence`
 * is its number from 1 on, written last; while it is being written it is 0. Its pages cost nothing
 * until somebody dies. */
#ifndef CREW_STATS_DEATHS_H
#define CREW_STATS_DEATHS_H

#include "stats/words.h"

enum {
	CREW__DEATHS = 16,
	CREW__DEATH_FRAMES = 20, /* of its stack that are kept */
	CREW__DEATH_TEXT = 256,
};

struct crew__death_entry {
	_Atomic uint64_t sequence;
	int64_t wall_ms;
	uint64_t lived_ms;
	uint32_t service; /* index in the directory */
	uint32_t id, generation;
	int32_t pid;
	int32_t status, signal; /* as in crew_exit */
	uint32_t callback;      /* enum crew__callback that ran; 0: none, or unknown */
	uint32_t dumped_core;   /* 1: it did */
	uint32_t frames;
	uint32_t reserved;
	char words[CREW__DEATH_TEXT]; /* in words; cut to fit; always ends */
	char frame[CREW__DEATH_FRAMES][CREW__FRAME_TEXT_MAX];
};

struct crew__deaths {
	_Atomic uint64_t written; /* the number of the last entry */
	struct crew__death_entry entries[CREW__DEATHS];
};

/* Add `entry`, whose sequence and time are filled here. */
void crew__deaths_add(struct crew__deaths *deaths, const struct crew__death_entry *entry);

/* Copies, the newest first, at most `most`; how many. In a copy every text is printable and ends,
 * and counts are within their arrays. `deaths` is another process's memory. */
size_t crew__deaths_read(
	const struct crew__deaths *deaths, struct crew__death_entry *ret_entries, size_t most);

#endif
