// Kernels compiled for the v3 target; its instruction-set flags are set in CMakeLists.txt.
#define POOLCORE_VECTOR_BYTES 32
#define POOLCORE_TABLE kV3Table
#include "kernels/target.inl.hpp"
