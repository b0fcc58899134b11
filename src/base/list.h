/* list.h - a doubly linked list inside its members. A node that is in no list points to itself. */
#ifndef CREW_BASE_LIST_H
#define CREW_BASE_LIST_H

#include "base/base.h"

struct crew__node {
	struct crew__node *next;
	struct crew__node *prev;
};

static inline void crew__list_init(struct crew__node *node)
{
	node->next = node;
	node->prev = node;
}

static inline bool crew__list_empty(const struct crew__node *head)
{
	return head->next == head;
}

/* Append to the list of `head`; the node must be in no list. */
static inline void crew__list_push(struct crew__node *head, struct crew__node *node)
{
	node->prev = head->prev;
	node->next = head;
	head->prev->next = node;
	head->prev = node;
}

/* Take the node out of its list, if it is in one. */
static inline void crew__list_remove(struct crew__node *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	crew__list_init(node);
}

/* Take the first out of the list of `head`, which must not be empty. */
static inline struct crew__node *crew__list_pop(struct crew__node *head)
{
	struct crew__node *first = head->next;
	head->next = first->next;
	first->next->prev = head;
	crew__list_init(first);
	return first;
}

#endif
