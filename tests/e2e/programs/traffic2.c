/* traffic2.c - traffic.c with another number: the new version that a reload brings. */
#define VARIANT "2"
#include "traffic.c"
