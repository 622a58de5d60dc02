// Kernels compiled for the v4 target; its instruction-set flags are set in CMakeLists.txt.
#define POOLCORE_VECTOR_BYTES 64
#define POOLCORE_TABLE kV4Table
#include "kernels/target.inl.hpp"
