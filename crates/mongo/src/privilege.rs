//! What the connected user may do, and which role to grant where that is too little.
